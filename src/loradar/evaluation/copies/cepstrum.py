"""Mel-cepstra of spectral envelopes, and the distortion between two of them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import fft

from loradar.evaluation.copies.frames import Mask
from loradar.vocoders.analysis import Real

ALPHA = 0.42  # the all-pass constant that comes closest to the mel scale at 16 kHz
ORDER = 24


def mel_cepstral_distortion(source: Real, copy: Real, speech: Mask) -> float:
    """Return the mel-cepstral distortion in dB.

    ``mean_n 10 / ln(10) * sqrt(2 sum_{m=1}^{24} (s[n, m] - c[n, m])^2)`` (Kubichek,
    "Mel-cepstral distance measure for objective speech quality assessment", 1993) over speech
    frames, frame against frame without warping in time, without c0.

    Parameters
    ----------
    source, copy : ndarray of float64, [N, 25]
        `mel_cepstrum`, c0 first.
    speech : ndarray of bool, [N]
        Frames that count; at least one.
    """
    difference = (source - copy)[speech, 1:]
    distances = np.sqrt(2 * np.sum(difference**2, axis=1))
    return float(10 / np.log(10) * np.mean(distances))


def mel_cepstrum(power: Real, *, order: int = ORDER, alpha: float = ALPHA) -> Real:
    """Return the mel-cepstrum of power spectra.

    The coefficients of ``ln|H| = c_0 + sum_m c_m cos(m w~)``, with the frequency axis ``w~`` bent
    by an all-pass of constant ``alpha`` (Oppenheim and Johnson, "Discrete representation of
    signals", 1972; Tokuda et al., "Mel-generalized cepstral analysis", 1994).

    Parameters
    ----------
    power : ndarray of float64, [N, size // 2 + 1]
        Power spectra or envelopes, positive.
    order : int
        Coefficients beside c0.
    alpha : float
        0.42 fits the mel scale at 16 kHz.

    Returns
    -------
    ndarray of float64, [N, order + 1]
        c0 to c_order, natural log.
    """
    both_sides = fft.irfft(np.log(np.maximum(power, 1e-30)))
    count = power.shape[1]
    cepstrum = both_sides[:, :count].copy()
    # ln|H| is half of ln|H|^2: c0 is halved, the others stand for both of their sides.
    cepstrum[:, 0] /= 2
    cepstrum[:, -1] /= 2
    return np.asarray(cepstrum @ warping(count, order, alpha), np.float64)


@lru_cache(maxsize=8)
def warping(count: int, order: int, alpha: float) -> Real:
    """Return the matrix that bends cepstra by an all-pass, [count, order + 1].

    Oppenheim and Johnson's recursion, run for all unit vectors at once.

    Parameters
    ----------
    count : int
        Coefficients of the cepstrum, c0 among them.
    order : int
        Coefficients of the result beside c0.
    alpha : float
        All-pass constant; 0 bends nothing.
    """
    state = np.zeros((order + 1, count))
    for place in range(count - 1, -1, -1):
        before = state.copy()
        state[0] = alpha * before[0]
        state[0, place] += 1.0
        if order:
            state[1] = (1 - alpha**2) * before[0] + alpha * before[1]
        for m in range(2, order + 1):
            state[m] = before[m - 1] + alpha * (before[m] - state[m - 1])
    return np.asarray(state.T, np.float64)
