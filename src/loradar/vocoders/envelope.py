"""Spectral envelopes freed of the pitch, and filters made of them."""

from __future__ import annotations

import numpy as np
from scipy import fft, ndimage

from loradar.vocoders.analysis import Complex, Real, cepstral_envelope, stft


def pitch_envelope(
    x: Real,
    pitch: Real,
    size: int,
    hop: int,
    sample_rate: int,
    *,
    coefficients: int | None = None,
    smooth: float = 0.0,
) -> Real:
    """Measure log magnitudes without harmonics, smoothed over 2/3 of each frame's pitch.

    As CheapTrick does (Morise 2015), in its first step.

    Parameters
    ----------
    x : ndarray of float64, [T]
        Speech.
    pitch : ndarray of float64, [N]
        Hertz, every ``hop`` samples, without gaps.
    size, hop, sample_rate : int
        Window and hop in samples; hertz.
    coefficients : int, optional
        Cepstral coefficients that are kept; all when not given.
    smooth : float
        Standard deviation of a Gaussian over frames.

    Returns
    -------
    ndarray of float64, [N, size // 2 + 1]
        Natural logarithm.
    """
    power = np.abs(stft(x, size, hop)) ** 2
    width = np.maximum(pitch * 2 / 3 / (sample_rate / size), 1.0)
    free = np.empty_like(power)
    # Frames of like pitch are smoothed together.
    steps = np.round(width).astype(int)
    for step in np.unique(steps):
        rows = steps == step
        free[rows] = ndimage.uniform_filter1d(power[rows], int(step) | 1, axis=1)
    envelope = 0.5 * np.log(free + 1e-12)
    if coefficients is not None:
        envelope = cepstral_envelope(envelope, min(coefficients, size // 2))
    if smooth > 0:
        envelope = ndimage.gaussian_filter1d(envelope, smooth, axis=0, mode="nearest")
    return envelope


def minimum_phase(log_magnitude: Real) -> Complex:
    """Return minimum-phase transfer functions [N, bins] of log magnitudes, by folded cepstra."""
    cepstrum = fft.irfft(log_magnitude)
    half = cepstrum.shape[1] // 2
    cepstrum[:, 1:half] *= 2.0
    cepstrum[:, half + 1 :] = 0.0
    transfer: Complex = np.exp(fft.rfft(cepstrum))
    return transfer


def twice_as_fine(log_magnitude: Real) -> Real:
    """Interpolate [N, bins] to [N, 2 bins - 1]: responses may then last two frames."""
    fine = np.repeat(log_magnitude, 2, axis=1)[:, :-1]
    fine[:, 1::2] = 0.5 * (log_magnitude[:, :-1] + log_magnitude[:, 1:])
    return fine
