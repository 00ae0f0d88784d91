"""Distances between short-time spectra, and the floor that resampling alone reaches."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from loradar.evaluation.copies.frames import Mask
from loradar.vocoders.analysis import Real, centred, power_of_two, stft
from loradar.vocoders.griffin_lim import mel_bank

HOP_S = 0.010
BAND_HZ = (80.0, 7000.0)  # the project's band: what lies beyond tells of recorders, not of copies
RANGE_DB = 80.0
MEL_BANDS = 80


def log_spectrum(samples: NDArray[Any], sample_rate: int) -> Real:
    """Return the short-time power spectrum between 80 and 7,000 Hz in dB.

    Parameters
    ----------
    samples : ndarray, [T]
        A clip.
    sample_rate : int
        Hertz.

    Returns
    -------
    ndarray of float64, [N, bins]
        Hann windows of about 32 ms, one each 10 ms, frame n centred at n hops.
    """
    size = power_of_two(0.032, sample_rate)
    power = np.abs(stft(centred(samples), size, round(HOP_S * sample_rate))) ** 2
    frequency = np.fft.rfftfreq(size, 1 / sample_rate)
    band = (frequency >= BAND_HZ[0]) & (frequency <= BAND_HZ[1])
    return _decibels(power[:, band])


def log_mel_spectrum(samples: NDArray[Any], sample_rate: int) -> Real:
    """Return the short-time magnitude in 80 mel bands, in dB.

    Parameters
    ----------
    samples : ndarray, [T]
        A clip.
    sample_rate : int
        Hertz.

    Returns
    -------
    ndarray of float64, [N, 80]
        Hann windows of about 64 ms, one each 10 ms; triangular bands up to half the rate.
    """
    size = power_of_two(0.064, sample_rate)
    magnitude = np.abs(stft(centred(samples), size, round(HOP_S * sample_rate)))
    return _decibels((magnitude @ mel_bank(MEL_BANDS, size, sample_rate).T) ** 2)


def log_mel_distance(source: Real, copy: Real, speech: Mask) -> float:
    """Return the root mean square difference over bands and speech frames, in dB.

    ``sqrt(mean_{n, b} (S[n, b] - C[n, b])^2)`` of `log_mel_spectrum`.

    Parameters
    ----------
    source, copy : ndarray of float64, [N, bands]
        In dB.
    speech : ndarray of bool, [N]
        Frames that count; at least one.
    """
    difference = _in_range(source, copy)[speech]
    return float(np.sqrt(np.mean(difference**2)))


def log_spectral_distance(source: Real, copy: Real, speech: Mask) -> float:
    """Return the log-spectral distance in dB.

    ``mean_n sqrt(mean_k (S[n, k] - C[n, k])^2)`` of `log_spectrum` over speech frames: the RMS
    log-spectral distance of Gray and Markel, "Distance measures for speech processing", 1976.

    Parameters
    ----------
    source, copy : ndarray of float64, [N, bins]
        In dB.
    speech : ndarray of bool, [N]
        Frames that count; at least one.
    """
    difference = _in_range(source, copy)[speech]
    return float(np.mean(np.sqrt(np.mean(difference**2, axis=1))))


def resampled(samples: NDArray[Any]) -> NDArray[np.float32]:
    """Return a clip [T] resampled to 441/160 of its rate and back (16,000 to 44,100 Hz).

    Such a round trip changes every sample and nothing that anyone could call a copy: the floor
    that an attack's distance has to clear. A short filter, since a steep one would cut the band
    below half the rate, which alone costs 4 dB of mel-cepstral distortion.
    """
    up, down = 441, 160
    away = signal.resample_poly(np.asarray(samples, np.float64), up, down)
    back = signal.resample_poly(away, down, up)
    return np.asarray(back[: len(samples)], np.float32)


def _decibels(power: Real) -> Real:
    return np.asarray(10 * np.log10(np.maximum(power, 1e-20)), np.float64)


def _in_range(source: Real, copy: Real) -> Real:
    """Subtract, with both clamped 80 dB below the source's peak, where only noise would count."""
    floor = source.max() - RANGE_DB
    return np.asarray(np.maximum(source, floor) - np.maximum(copy, floor), np.float64)
