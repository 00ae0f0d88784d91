"""The classical attacks: signal processing alone, with the ranges their settings come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from loradar.vocoders.acoustic import draw_acoustic
from loradar.vocoders.analysis import Samples
from loradar.vocoders.attack import Attack, Source
from loradar.vocoders.conversion import voice_exemplars, voice_statistics
from loradar.vocoders.griffin_lim import mel_griffin_lim
from loradar.vocoders.lpc import lpc_pulse, lpc_quantised
from loradar.vocoders.phase import phase_randomised, phase_recovery, phase_vocoder
from loradar.vocoders.ranges import OneOf, Ranges, Sometimes, Span
from loradar.vocoders.sinusoidal import sinusoidal
from loradar.vocoders.world import world, world_missing
from loradar.vocoders.world_like import world_like


def _attack(vocoder: Callable[..., Samples], family: str, **ranges: Any) -> Attack:
    """Make an attack of a vocoder whose keyword arguments are drawn from ``ranges``."""

    def render(source: Source, settings: Mapping[str, Any], rng: np.random.Generator) -> Samples:
        return vocoder(source.samples, source.sample_rate, rng, **settings)

    return Attack(vocoder.__name__, family, "classical", Ranges(ranges), render)


def _world_attack(vocoder: Callable[..., Samples], family: str, **ranges: Any) -> Attack:
    """The same for a vocoder that needs pyworld."""
    return replace(_attack(vocoder, family, **ranges), missing=world_missing)


def _conversion(vocoder: Callable[..., Samples], **ranges: Any) -> Attack:
    """Make an attack of a vocoder that needs pyworld and another speaker."""

    def render(source: Source, settings: Mapping[str, Any], rng: np.random.Generator) -> Samples:
        return vocoder(source.samples, source.sample_rate, rng, other=source.other, **settings)

    attack = _world_attack(vocoder, "voice_conversion", **ranges)
    return replace(attack, render=render, needs=frozenset({"other"}))


CLASSICAL: list[Attack] = [
    _attack(
        mel_griffin_lim,
        "griffin_lim",
        bands=Span(40, 128),
        iterations=Span(2, 100, ratio=True),
        window=OneOf((0.025, 0.032, 0.05, 0.064)),
        overlap=OneOf((3, 4)),
        momentum=OneOf((0.0, 0.9, 0.99)),
        sharpen=OneOf((0, 20)),
        acoustic=draw_acoustic,
    ),
    _world_attack(
        world,
        "world",
        period=OneOf((5.0, 10.0)),
        dimensions=Sometimes(None, Span(10, 60, ratio=True)),
        aperiodicity=OneOf(("measured", "coarse", "none", "limit")),
        envelope_smooth=Sometimes(0.0, Span(3.0, 12.0)),
        pitch_smooth=Sometimes(0.0, Span(10.0, 60.0)),
        expression=Sometimes(1.0, Span(0.0, 0.9)),
    ),
    _attack(
        world_like,
        "world",
        voiced_hz=Span(2000.0, 7000.0, ratio=True),
        window=OneOf((0.016, 0.032)),
        coefficients=Sometimes(None, Span(20, 80, ratio=True)),
        envelope_smooth=Sometimes(0.0, Span(0.4, 1.2)),
        pitch_smooth=Sometimes(0.0, Span(1.0, 5.0)),
        expression=Sometimes(1.0, Span(0.0, 0.9)),
    ),
    _attack(
        lpc_pulse,
        "lpc",
        order=Span(10, 30),
        frame=Span(0.005, 0.0225),
        bits=Sometimes(None, Span(4, 7)),
        voiced_hz=Sometimes(None, Span(2000.0, 6000.0, ratio=True)),
        dispersion=Span(0.0, 0.004),
        pitch_smooth=Sometimes(0.0, Span(1.0, 4.0)),
        expression=Sometimes(1.0, Span(0.3, 0.9)),
    ),
    _attack(lpc_quantised, "lpc", order=Span(8, 30), bits=Span(1, 4), frame=Span(0.005, 0.02)),
    _attack(
        sinusoidal,
        "sinusoidal",
        window=OneOf((0.016, 0.032)),
        voiced_hz=Span(2500.0, 8000.0, ratio=True),
        spacing=Span(40.0, 90.0),
        coefficients=Sometimes(None, Span(20, 80, ratio=True)),
        phases=OneOf(("random", "zero", "minimum")),
        pitch_smooth=Sometimes(0.0, Span(1.0, 5.0)),
        expression=Sometimes(1.0, Span(0.3, 0.9)),
    ),
    _attack(
        phase_randomised,
        "phase",
        spread_turns=Span(0.15, 0.5),
        window=OneOf((0.008, 0.016, 0.032, 0.064)),
        overlap=OneOf((2, 4, 8)),
    ),
    _attack(
        phase_recovery,
        "phase",
        window=OneOf((0.016, 0.025, 0.032, 0.05, 0.064)),
        overlap=OneOf((2, 3, 4)),
        iterations=Span(1, 30, ratio=True),
        momentum=OneOf((0.0, 0.9)),
        start=OneOf(("random", "zero", "advance")),
    ),
    _attack(
        phase_vocoder,
        "phase",
        stretch=Span(0.5, 2.0, ratio=True),
        window=OneOf((0.016, 0.032, 0.064)),
        lock=OneOf((False, True)),
    ),
    _conversion(
        voice_statistics,
        warp=Sometimes(None, Span(0.86, 1.16)),
        average=Span(0.5, 1.0),
        expression=Sometimes(1.0, Span(0.3, 0.9)),
        dimensions=Sometimes(None, Span(20, 60, ratio=True)),
    ),
    _conversion(
        voice_exemplars,
        neighbours=Span(1, 8),
        context=Span(1, 4),
        smooth=Span(0.0, 1.5),
        expression=Sometimes(1.0, Span(0.3, 0.9)),
    ),
]
