"""Give a copy the long-term spectrum of its source, so that colour never tells the two apart."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage, signal

from loradar.vocoders.analysis import Real

_BIN_HZ = 15.0  # at most, between the points that the spectra are compared at
_SMOOTH_HZ = 30.0  # standard deviation of the Gaussian over each spectrum
_LIMIT_DB = 20.0  # a band that the copy lacks stays lacking


def source_colour(copy: NDArray[Any], source: NDArray[Any], sample_rate: int) -> Real:
    """Filter a copy so that its long-term average spectrum becomes its source's.

    A vocoder's response is part of every copy, as a microphone's is of every recording: a detector
    that learns it knows one vocoder and nothing of the next. The filter has linear phase, is made
    from average powers (Welch 1967) smoothed over 30 Hz, and changes no frequency by more than
    20 dB.

    Parameters
    ----------
    copy, source : ndarray, [T]
        At the same rate; of any level.
    sample_rate : int
        Hertz.

    Returns
    -------
    ndarray of float64, [T]
        In time with ``copy``. A silent clip, or one shorter than the filter (some 70 ms), comes
        back as it is.
    """
    size = 1 << math.ceil(math.log2(sample_rate / _BIN_HZ))
    plain = np.asarray(copy, np.float64)
    if min(len(copy), len(source)) < size:
        return plain
    have, want = (_average_power(x, sample_rate, size) for x in (plain, source))
    if have.max() <= 0.0 or want.max() <= 0.0:
        return plain
    # Levels apart, so that the limit speaks of colour alone.
    have, want = have / have.sum(), want / want.sum()
    limit = 10.0 ** (_LIMIT_DB / 10.0)
    gain = np.sqrt(np.clip((want + 1e-12) / (have + 1e-12), 1.0 / limit, limit))
    taps = np.roll(fft.irfft(gain, size), size // 2) * signal.get_window("hann", size)
    filtered = signal.fftconvolve(plain, taps)
    return np.asarray(filtered[size // 2 : size // 2 + len(plain)], np.float64)


def _average_power(x: NDArray[Any], sample_rate: int, size: int) -> Real:
    _, power = signal.welch(np.asarray(x, np.float64), sample_rate, nperseg=size)
    return np.asarray(ndimage.gaussian_filter1d(power, _SMOOTH_HZ * size / sample_rate), np.float64)
