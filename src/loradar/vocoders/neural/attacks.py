"""The neural attacks: copies by the models that ship, with the ranges of their settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import soxr
import torch
from numpy.typing import NDArray
from scipy import signal

from loradar.audio.reading import SAMPLE_RATE
from loradar.vocoders.acoustic import draw_acoustic
from loradar.vocoders.analysis import Samples, centred, like
from loradar.vocoders.attack import Attack, Source
from loradar.vocoders.colour import source_colour
from loradar.vocoders.neural.base import NeuralVocoder
from loradar.vocoders.neural.level import gain_to_level
from loradar.vocoders.neural.shipped import missing_vocoder, weights_digest
from loradar.vocoders.neural.weights import load_vocoder
from loradar.vocoders.ranges import Ranges, Span

PIECE = 60 * SAMPLE_RATE  # longer clips go through in pieces, so that memory stays bounded
_FADE = 4096
# Speech reaches the model this many times slower than it is. What a model leaves at multiples of
# its own frame rate (62.5 Hz) is then elsewhere in every copy, as it is in every other vocoder:
# at one fixed place the long-term spectrum alone told iSTFT and GAN copies from speech (EER 2 %).
SLOWER = Span(1.0, 1.2)


def copy_speech(
    model: NeuralVocoder,
    samples: NDArray[Any],
    sample_rate: int,
    settings: Mapping[str, Any],
    rng: np.random.Generator,
) -> Samples:
    """Copy a clip through a model, at the model's rate and level.

    Parameters
    ----------
    model : NeuralVocoder
        In evaluation mode, on the CPU.
    samples : ndarray, [T]
        Speech, finite.
    sample_rate : int
        Hertz; other rates than 16 kHz are resampled there and back.
    settings : mapping
        Of this copy; ``slower`` is how many times slower the model hears the clip.
    rng : numpy Generator
        The source of everything random.

    Returns
    -------
    ndarray of float32, [T]
        With the length, RMS, offset and long-term spectrum of ``samples``.
    """
    source = centred(samples)
    x = source
    if sample_rate != SAMPLE_RATE:
        x = soxr.resample(x, sample_rate, SAMPLE_RATE)
    if len(x) == 0:  # nothing, or less than one sample at 16 kHz
        return np.zeros(len(samples), np.float32)
    heard = _to_length(x, round(len(x) * float(settings.get("slower", 1.0))))
    levelled = (heard * gain_to_level(heard)).astype(np.float32)
    made = _in_pieces(partial(_one_piece, model, settings, rng), levelled)
    made = _to_length(made[: len(heard)], len(x))
    if sample_rate != SAMPLE_RATE:
        made = soxr.resample(made, SAMPLE_RATE, sample_rate)
    return like(source_colour(made, source, sample_rate), samples)


def _to_length(x: NDArray[Any], length: int) -> NDArray[Any]:
    """Resample [T] to [length], the whole band kept: a soft edge at 7.3 kHz would show."""
    return x if len(x) == length else np.asarray(signal.resample(x, length))


def _one_piece(
    model: NeuralVocoder, settings: Mapping[str, Any], rng: np.random.Generator, x: Samples
) -> Samples:
    made: Samples = model.resynthesise(torch.from_numpy(x)[None], settings, rng)[0].numpy()
    return made


def _in_pieces(copy: Callable[[Samples], Samples], x: Samples) -> Samples:
    """Apply ``copy`` to stretches of [T] that overlap by a linear cross-fade."""
    if len(x) <= PIECE:
        return copy(x)
    total = np.zeros_like(x)
    rise = np.linspace(0.0, 1.0, _FADE, dtype=np.float32)
    for start in range(0, len(x) - _FADE, PIECE - _FADE):
        made = copy(x[start : start + PIECE]).copy()
        if start > 0:
            made[:_FADE] *= rise
        if start + PIECE < len(x):
            made[-_FADE:] *= rise[::-1]
        total[start : start + len(made)] += made
    return total


def _attack(name: str, **ranges: Any) -> Attack:
    def render(source: Source, settings: Mapping[str, Any], rng: np.random.Generator) -> Samples:
        model = load_vocoder(name)
        return copy_speech(model, source.samples, source.sample_rate, settings, rng)

    return Attack(
        name,
        name,
        "neural",
        Ranges(ranges),
        render,
        missing=partial(missing_vocoder, name),
        weights=partial(weights_digest, name),
    )


NEURAL: dict[str, Attack] = {
    attack.name: attack
    for attack in (
        _attack("istft", slower=SLOWER, acoustic=draw_acoustic),
        _attack("gan", slower=SLOWER, acoustic=draw_acoustic),
        _attack("flow", slower=SLOWER, acoustic=draw_acoustic, steps=Span(4, 12)),
        _attack("codec", slower=Span(1.0, 1.08), codebooks=Span(4, 8)),
    )
}
