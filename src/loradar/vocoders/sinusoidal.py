"""Harmonic sinusoids: a bank of oscillators at multiples of the pitch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from loradar.vocoders.analysis import (
    Real,
    Samples,
    centred,
    cepstral_envelope,
    fill_pitch,
    like,
    power_of_two,
    spread,
    stft,
    track_pitch,
)

_UNVOICED_SPACING = 90.0  # hertz between the sinusoids that stand for noise


def sinusoidal(
    samples: NDArray[Any],
    sample_rate: int,
    rng: np.random.Generator,
    *,
    top_hz: float = 7000.0,
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
    top_hz : float
        No sinusoids above.

    Returns
    -------
    ndarray of float32, [T]
    """
    x = centred(samples)
    size = power_of_two(0.032, sample_rate)
    hop = size // 4
    log_magnitude = np.log(np.abs(stft(x, size, hop)) + 1e-6)
    envelope = np.exp(cepstral_envelope(log_magnitude, size // 10))
    tracked = track_pitch(x, sample_rate, hop)
    pitch = fill_pitch(tracked)
    top = min(top_hz, 0.48 * sample_rate)
    # Denser sinusoids are each weaker, so that voiced and unvoiced frames are equally loud.
    voiced = np.where(tracked > 0, np.sqrt(pitch / _UNVOICED_SPACING), 0.0)
    count = int(top / float(pitch.min()))
    still = np.broadcast_to(rng.random(count), (len(envelope), count))
    harmonics = _bank(pitch, envelope * voiced[:, None], still, hop, sample_rate, top)
    count = int(top / _UNVOICED_SPACING)
    drift = rng.random(count) + 0.15 * rng.standard_normal((len(envelope), count)).cumsum(axis=0)
    flat = np.full(len(envelope), _UNVOICED_SPACING)
    noise = _bank(flat, envelope * (tracked == 0)[:, None], drift, hop, sample_rate, top)
    return like((harmonics + noise)[: len(x)], samples)


def _bank(f0: Real, envelope: Real, turns: Real, hop: int, sample_rate: int, top_hz: float) -> Real:
    """Sum sinusoids at multiples of a frequency.

    Parameters
    ----------
    f0 : ndarray of float64, [N]
        Hertz, every ``hop`` samples.
    envelope : ndarray of float64, [N, bins]
        Amplitude by frequency, from 0 to half the sample rate.
    turns : ndarray of float64, [N, K]
        Phase of each of the K multiples, in whole turns.
    hop, sample_rate : int
        Samples between frames; hertz.
    top_hz : float
        Silent above.

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
        loudness = np.where(frequency < top_hz, envelope[rows, column], 0.0)
        weight = (loudness * np.exp(2j * np.pi * turns[:, number - 1])).astype(np.complex64)
        between = weight[:-1, None] + rise * (weight[1:] - weight[:-1])[:, None]
        total += (turning * between).real
    return total.reshape(-1).astype(np.float64)
