"""Phase recovery by Griffin and Lim's algorithm, and the mel spectrogram and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from loradar.vocoders.acoustic import degrade_log_mel
from loradar.vocoders.analysis import Real, Samples, centred, istft, like, stft

_FLOOR = 1e-5  # of mel magnitudes, before the logarithm


def mel_griffin_lim(
    samples: NDArray[Any],
    sample_rate: int,
    rng: np.random.Generator,
    *,
    bands: int = 80,
    iterations: int = 24,
    window: float = 0.064,
    overlap: int = 4,
    momentum: float = 0.9,
    sharpen: int = 0,
    acoustic: Mapping[str, Any] | None = None,
) -> Samples:
    """Keep a clip's mel magnitudes alone and find a phase that fits them.

    Parameters
    ----------
    samples : ndarray, [T]
        Speech.
    sample_rate : int
        Hertz.
    rng : numpy.random.Generator
        Draws the first phase, and the noise of ``acoustic``.
    bands, iterations : int
        Mel bands; rounds of the phase search.
    window : float
        Seconds.
    overlap : int
        Frames that cover each sample.
    momentum : float
        Of the phase search.
    sharpen : int
        Rounds of the search for linear magnitudes, not negative, that give the mel ones; with
        none, each band's magnitude is spread over its bins.
    acoustic : mapping, optional
        What `degrade_log_mel` does to the mel spectrogram first.

    Returns
    -------
    ndarray of float32, [T]
    """
    x = centred(samples).astype(np.float32)
    size, hop = frame_sizes(window, overlap, sample_rate)
    bank = mel_bank(bands, size, sample_rate).astype(np.float32)
    # Sparse products: a threaded BLAS would round by the number of threads, and the phase search
    # would blow that up.
    down = sparse.csr_array(bank)
    mel = down @ np.abs(stft(x, size, hop)).T
    if acoustic:
        log_mel = np.log(np.maximum(mel.T, _FLOOR))
        mel = np.exp(degrade_log_mel(log_mel, acoustic, rng)).T
    magnitude = np.ascontiguousarray(_linear(mel, down, sharpen).T)
    return like(recover_phase(magnitude, (size, hop), len(x), rng, iterations, momentum), samples)


def _linear(mel: NDArray[Any], down: Any, rounds: int) -> NDArray[Any]:
    """Estimate linear magnitudes [bins, N] from mel ones [bands, N] and filters [bands, bins]."""
    weight = np.asarray(down.sum(axis=0))
    magnitude: NDArray[Any] = (down.T @ mel) / np.maximum(weight, np.float32(1e-9))[:, None]
    # Multiplicative updates (Lee and Seung 2001) of the least squares |mel - down magnitude|.
    target = down.T @ mel
    for _ in range(rounds):
        magnitude *= target / np.maximum(down.T @ (down @ magnitude), np.float32(1e-12))
    return magnitude


def frame_sizes(window: float, overlap: int, sample_rate: int) -> tuple[int, int]:
    """Return an even window and its hop in samples, ``overlap`` hops to a window."""
    hop = max(4, round(window * sample_rate / overlap))
    if overlap % 2:
        hop += hop % 2
    return hop * overlap, hop


def recover_phase(
    magnitude: NDArray[Any],
    sizes: tuple[int, int],
    length: int,
    rng: np.random.Generator,
    iterations: int,
    momentum: float,
    turns: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Find a waveform whose short-time magnitudes are near the given ones.

    Griffin and Lim (1984), with the momentum of Perraudin, Balazs and Soendergaard (2013).

    Parameters
    ----------
    magnitude : ndarray, [N, bins]
        Of frames centred at 0, hop, 2 hop, ...
    sizes : tuple of int
        Window and hop, samples.
    length : int
        Samples of the result.
    rng : numpy.random.Generator
        Draws the first phase where ``turns`` gives none.
    iterations : int
        Rounds; 0 keeps the first phase.
    momentum : float
        0 is the plain algorithm; below 1.
    turns : ndarray, [N, bins], optional
        The first phase, in whole turns.

    Returns
    -------
    ndarray, [length]
        Of the precision of ``magnitude``.
    """
    start = rng.random(magnitude.shape, np.float32) if turns is None else turns
    unit = np.exp(2j * np.pi * start)
    spectrum = magnitude * unit.astype(np.result_type(magnitude, np.complex64))
    before = np.zeros_like(spectrum)
    for _ in range(iterations):
        consistent = stft(istft(spectrum, *sizes, length), *sizes)
        ahead = consistent + np.float32(momentum) * (consistent - before)
        before = consistent
        spectrum = ahead
        spectrum *= magnitude / np.maximum(np.abs(ahead), np.float32(1e-12))
    return istft(spectrum, *sizes, length)


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
