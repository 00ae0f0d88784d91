"""A source-filter vocoder in the manner of WORLD: envelope, pitch, aperiodicity."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage, signal

from loradar.vocoders.analysis import (
    Complex,
    Real,
    Samples,
    centred,
    fill_pitch,
    frames_of,
    like,
    overlap_add,
    power_of_two,
    pulse_train,
    spread,
    stft,
    track_pitch,
)


def world_like(
    samples: NDArray[Any],
    sample_rate: int,
    rng: np.random.Generator,
    *,
    voiced_hz: float = 4000.0,
) -> Samples:
    """Rebuild speech from a smooth envelope, the pitch, and a fixed voicing limit.

    As Morise et al. (2016) do: a spectral envelope freed of the harmonics by smoothing over two
    thirds of the pitch, a minimum-phase filter, pulses below the limit and noise above it. The
    measurement of aperiodicity is left out; the limit stands for it.

    Parameters
    ----------
    samples : ndarray, [T]
        Speech.
    sample_rate : int
        Hertz.
    rng : numpy.random.Generator
        Draws the noise.
    voiced_hz : float
        Voiced frames are pulses below and noise above.

    Returns
    -------
    ndarray of float32, [T]
    """
    x = centred(samples)
    size = power_of_two(0.032, sample_rate)
    hop = size // 4
    f0 = track_pitch(x, sample_rate, hop)
    pitch = fill_pitch(f0)
    transfer = _minimum_phase(_twice_as_fine(_envelope(x, pitch, size, hop, sample_rate)))
    pulses = pulse_train(spread(pitch, hop, len(x)), sample_rate)
    noise = rng.standard_normal(len(x))
    # A slope over an octave around the limit, in power: pulses and noise always add up to one.
    bins = np.linspace(0.0, sample_rate / 2, size + 1)
    periodic = 1.0 / (1.0 + (bins / voiced_hz) ** 6)
    periodic = np.where(f0[:, None] > 0, periodic, 0.0)
    voiced = _filtered(pulses, transfer * np.sqrt(periodic), size, hop)
    breath = _filtered(noise, transfer * np.sqrt(1.0 - periodic), size, hop)
    return like(voiced + breath, samples)


def _envelope(x: Real, pitch: Real, size: int, hop: int, sample_rate: int) -> Real:
    """Log magnitudes [N, bins] without harmonics, smoothed over 2/3 of each frame's pitch."""
    power = np.abs(stft(x, size, hop)) ** 2
    width = np.maximum(pitch * 2 / 3 / (sample_rate / size), 1.0)
    smooth = np.empty_like(power)
    # Frames of like pitch are smoothed together.
    steps = np.round(width).astype(int)
    for step in np.unique(steps):
        rows = steps == step
        smooth[rows] = ndimage.uniform_filter1d(power[rows], int(step) | 1, axis=1)
    return 0.5 * np.log(smooth + 1e-12)


def _minimum_phase(log_magnitude: Real) -> Complex:
    """Minimum-phase transfer functions [N, bins] of log magnitudes, by the folded cepstrum."""
    cepstrum = fft.irfft(log_magnitude)
    half = cepstrum.shape[1] // 2
    cepstrum[:, 1:half] *= 2.0
    cepstrum[:, half + 1 :] = 0.0
    transfer: Complex = np.exp(fft.rfft(cepstrum))
    return transfer


def _twice_as_fine(log_magnitude: Real) -> Real:
    """Interpolate [N, bins] to [N, 2 bins - 1]: responses may then last two frames."""
    fine = np.repeat(log_magnitude, 2, axis=1)[:, :-1]
    fine[:, 1::2] = 0.5 * (log_magnitude[:, :-1] + log_magnitude[:, 1:])
    return fine


def _filtered(x: Real, transfer: Complex, size: int, hop: int) -> Real:
    """Filter [T] by transfer functions [N, size + 1], one a frame, overlapping."""
    window = signal.get_window("hann", size) * (2.0 * hop / size)
    spectrum = fft.rfft(frames_of(x, size, hop) * window, 2 * size) * transfer
    return overlap_add(fft.irfft(spectrum, 2 * size), hop, len(x), origin=size // 2)
