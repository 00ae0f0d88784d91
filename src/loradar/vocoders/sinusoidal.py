"""Harmonic sinusoids: a bank of oscillators at multiples of the pitch."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from loradar.vocoders.analysis import (
    Real,
    Samples,
    centred,
    fill_pitch,
    like,
    power_of_two,
    reshape_pitch,
    spread,
    track_pitch,
)
from loradar.vocoders.envelope import minimum_phase, pitch_envelope, twice_as_fine

Phases = Literal["random", "zero", "minimum"]

_TOP = 0.485  # no sinusoids above this share of the sample rate


def sinusoidal(
    samples: NDArray[Any],
    sample_rate: int,
    rng: np.random.Generator,
    *,
    window: float = 0.032,
    voiced_hz: float = 8000.0,
    spacing: float = 90.0,
    coefficients: int | None = None,
    phases: Phases = "random",
    pitch_smooth: float = 0.0,
    expression: float = 1.0,
) -> Samples:
    """Rebuild speech from sinusoids alone, phases integrated from frequency, not kept.

    After McAulay and Quatieri (1986), reduced to harmonics. Where nothing is voiced the bank is
    dense and each oscillator's phase wanders, which gives sinusoids the sound of noise.

    Parameters
    ----------
    samples : ndarray, [T]
        Speech.
    sample_rate : int
        Hertz.
    rng : numpy.random.Generator
        Draws the first and the wandering phases.
    window : float
        Seconds, to the nearest power of two samples; four frames to a window.
    voiced_hz : float
        Voiced frames are harmonics below and noise above.
    spacing : float
        Hertz between the sinusoids that stand for noise.
    coefficients : int, optional
        Cepstral coefficients of the envelope that are kept; all when not given.
    phases : {"random", "zero", "minimum"}
        Of the harmonics beside each other; ``minimum`` takes them from the envelope.
    pitch_smooth, expression : float
        See `reshape_pitch`; frames.

    Returns
    -------
    ndarray of float32, [T]
    """
    x = centred(samples)
    size = power_of_two(window, sample_rate)
    hop = size // 4
    tracked = track_pitch(x, sample_rate, hop)
    log_envelope = pitch_envelope(
        x, fill_pitch(tracked), size, hop, sample_rate, coefficients=coefficients
    )
    envelope = np.exp(log_envelope)
    pitch = fill_pitch(reshape_pitch(tracked, smooth=pitch_smooth, expression=expression))
    voiced = tracked[:, None] > 0
    # A slope around the limit, in power: harmonics and noise always add up to the envelope.
    bins = np.linspace(0.0, sample_rate / 2, envelope.shape[1])
    periodic = np.where(voiced, 1.0 / (1.0 + (bins / voiced_hz) ** 12), 0.0)
    # Denser sinusoids are each weaker, so that harmonics and noise are equally loud.
    loud = envelope * np.sqrt(periodic * pitch[:, None] / spacing)
    turns = _turns(log_envelope, phases)
    count = int(_TOP * sample_rate / float(pitch.min()))
    still = rng.random(count) if phases == "random" else np.zeros(count)
    still = np.broadcast_to(still, (len(envelope), count))
    harmonics = _bank(pitch, loud, turns, still, hop, sample_rate)
    count = int(_TOP * sample_rate / spacing)
    # Steady detuning by up to half the spacing: evenly spaced, they would have a pitch themselves.
    detuning = rng.uniform(-0.5, 0.5, count) * spacing * hop / sample_rate
    wandering = detuning + 0.15 * rng.standard_normal((len(envelope), count))
    drift = rng.random(count) + wandering.cumsum(axis=0)
    flat = np.full(len(envelope), spacing)
    quiet = envelope * np.sqrt(1.0 - periodic)
    noise = _bank(flat, quiet, np.zeros_like(turns), drift, hop, sample_rate)
    return like((harmonics + noise)[: len(x)], samples)


def _turns(log_envelope: Real, phases: Phases) -> Real:
    """Phase of the vocal tract [N, bins] in whole turns; zero unless it is asked for."""
    if phases != "minimum":
        return np.zeros_like(log_envelope)
    angle: Real = np.angle(minimum_phase(twice_as_fine(log_envelope))[:, ::2]) / (2 * np.pi)
    return angle


def _bank(f0: Real, envelope: Real, tract: Real, turns: Real, hop: int, sample_rate: int) -> Real:
    """Sum sinusoids at multiples of a frequency.

    Parameters
    ----------
    f0 : ndarray of float64, [N]
        Hertz, every ``hop`` samples.
    envelope : ndarray of float64, [N, bins]
        Amplitude by frequency, from 0 to half the sample rate.
    tract : ndarray of float64, [N, bins]
        Phase by frequency, in whole turns.
    turns : ndarray of float64, [N, K]
        Further phase of each of the K multiples, in whole turns.
    hop, sample_rate : int
        Samples between frames; hertz.

    Returns
    -------
    ndarray of float64, [(N - 1) hop]
    """
    frames, bins = envelope.shape
    cycles = np.cumsum(spread(f0, hop, (frames - 1) * hop)) / sample_rate
    step = np.exp(2j * np.pi * cycles).astype(np.complex64).reshape(frames - 1, hop)
    turning = np.ones_like(step)
    rise = (np.arange(hop, dtype=np.float32) / np.float32(hop))[None]
    rows = np.arange(frames)
    total = np.zeros(step.shape, np.float32)
    for number in range(1, turns.shape[1] + 1):
        # The next multiple is one more turn of the first: a product instead of a cosine.
        turning = turning * step
        frequency = number * f0
        column = np.minimum(frequency / (sample_rate / 2) * (bins - 1), bins - 1).astype(int)
        loudness = np.where(frequency < _TOP * sample_rate, envelope[rows, column], 0.0)
        phase = 2j * np.pi * (turns[:, number - 1] + tract[rows, column])
        weight = (loudness * np.exp(phase)).astype(np.complex64)
        between = weight[:-1, None] + rise * (weight[1:] - weight[:-1])[:, None]
        total += (turning * between).real
    return total.reshape(-1).astype(np.float64)
