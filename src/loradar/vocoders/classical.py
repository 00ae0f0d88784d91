"""The classical attacks: signal processing alone, with the ranges their settings come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from loradar.vocoders.analysis import Samples
from loradar.vocoders.attack import Attack, Source
from loradar.vocoders.griffin_lim import mel_griffin_lim
from loradar.vocoders.lpc import lpc_pulse, lpc_quantised
from loradar.vocoders.phase import phase_randomised, phase_vocoder
from loradar.vocoders.ranges import Ranges, Span
from loradar.vocoders.sinusoidal import sinusoidal
from loradar.vocoders.world_like import world_like


def _attack(vocoder: Callable[..., Samples], family: str, **ranges: Any) -> Attack:
    """Make an attack of a vocoder whose keyword arguments are drawn from ``ranges``."""

    def render(source: Source, settings: Mapping[str, Any], rng: np.random.Generator) -> Samples:
        return vocoder(source.samples, source.sample_rate, rng, **settings)

    return Attack(vocoder.__name__, family, "classical", Ranges(ranges), render)


CLASSICAL: list[Attack] = [
    _attack(
        mel_griffin_lim, "griffin_lim", bands=Span(40, 128), iterations=Span(2, 100, ratio=True)
    ),
    _attack(world_like, "world", voiced_hz=Span(1000.0, 7000.0, ratio=True)),
    _attack(lpc_pulse, "lpc", order=Span(8, 24)),
    _attack(lpc_quantised, "lpc", order=Span(8, 24), bits=Span(1, 4)),
    _attack(sinusoidal, "sinusoidal", top_hz=Span(4000.0, 7600.0)),
    _attack(phase_randomised, "phase", spread_turns=Span(0.15, 0.5)),
    _attack(phase_vocoder, "phase", stretch=Span(0.6, 1.8)),
]
