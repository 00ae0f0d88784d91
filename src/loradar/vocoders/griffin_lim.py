"""Mel spectrogram and back by Griffin and Lim's algorithm."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from loradar.vocoders.analysis import Real, Samples, centred, istft, like, power_of_two, stft

_MOMENTUM = 0.9


def mel_griffin_lim(
    samples: NDArray[Any],
    sample_rate: int,
    rng: np.random.Generator,
    *,
    bands: int = 80,
    iterations: int = 24,
) -> Samples:
    """Keep a clip's mel magnitudes alone and find a phase that fits them.

    Griffin and Lim (1984), with the momentum of Perraudin et al. (2013), from a random phase.

    Parameters
    ----------
    samples : ndarray, [T]
        Speech.
    sample_rate : int
        Hertz.
    rng : numpy.random.Generator
        Draws the first phase.
    bands, iterations : int
        Mel bands; rounds of the phase search.

    Returns
    -------
    ndarray of float32, [T]
    """
    x = centred(samples)
    size = power_of_two(0.064, sample_rate)
    hop = size // 4
    bank = mel_bank(bands, size, sample_rate)
    # Sparse products: a threaded BLAS would round by the number of threads, and the phase search
    # would blow that up.
    down = sparse.csr_array(bank)
    up = sparse.csr_array((bank / np.maximum(bank.sum(axis=0), 1e-9)).T)
    mel = down @ np.abs(stft(x, size, hop)).T
    # Each band's mean spread over its bins: what a low-dimensional mel spectrum still knows.
    magnitude: Real = np.ascontiguousarray((up @ mel).T)
    spectrum = magnitude * np.exp(2j * np.pi * rng.random(magnitude.shape))
    before = np.zeros_like(spectrum)
    for _ in range(iterations):
        consistent = stft(istft(spectrum, size, hop, len(x)), size, hop)
        ahead = consistent + _MOMENTUM * (consistent - before)
        before = consistent
        spectrum = magnitude * ahead / np.maximum(np.abs(ahead), 1e-12)
    return like(istft(spectrum, size, hop, len(x)), samples)


def mel_bank(bands: int, size: int, sample_rate: int) -> Real:
    """Return triangular mel filters [bands, size // 2 + 1], each of unit sum."""
    top = 2595.0 * np.log10(1.0 + sample_rate / 2 / 700.0)
    edges = 700.0 * (10.0 ** (np.linspace(0.0, top, bands + 2) / 2595.0) - 1.0)
    bins = np.linspace(0.0, sample_rate / 2, size // 2 + 1)
    rise = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    fall = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    bank = np.maximum(np.minimum(rise, fall), 0.0)
    # At the low end a band may fall between two bins: it then takes the nearest.
    nearest = np.argmin(np.abs(bins - edges[1:-1, None]), axis=1)
    empty = bank.sum(axis=1) <= 0
    bank[empty, nearest[empty]] = 1.0
    unit: Real = bank / bank.sum(axis=1, keepdims=True)
    return unit
