"""Copies that are spoofed in part: what a vocoder leaves, without most of what gives it away."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

KINDS = ("band", "magnitude", "phase", "blend")
_SIZE, _HOP = 512, 128
_WINDOW = np.hanning(_SIZE + 1)[:-1].astype(np.float32)
_OVERLAP = np.float32(np.sum(_WINDOW**2) / _HOP)  # of squared windows, the same everywhere
_TINY = np.float32(1e-9)
WHOLE = (1.0, 1.0)  # a depth: all of the graft
_LEAST_BAND, _EDGE = 0.1, 0.02  # shares of the spectrum: narrowest band, width of its edges


def graft(
    copy: NDArray[Any],
    source: NDArray[Any],
    rng: np.random.Generator,
    depth: tuple[float, float] = WHOLE,
) -> NDArray[np.float32]:
    """Give a source clip a part of its copy: a band, the magnitudes, the phases, or a blend.

    A small vocoder's copies are told from speech by their crudest fault, and a detector that is
    trained on them need learn nothing finer. With one part of the copy and the rest of the source
    it must.

    - ``band``: a random band of at least a tenth of the spectrum is the copy's;
    - ``magnitude``: the copy's short-time magnitudes on the source's phases;
    - ``phase``: the source's magnitudes on the copy's phases;
    - ``blend``: the copy's phases, and magnitudes between the two on a logarithmic scale.

    With a depth below 1 the result lies between the source and that, magnitudes on a logarithmic
    scale and directions on the chord: good synthesisers leave fainter traces than small ones do,
    of the same kind.

    Parameters
    ----------
    copy, source : ndarray, [T]
        In time with each other.
    rng : numpy.random.Generator
        Draws the kind and its extent.
    depth : tuple of float
        Least and most of the way from the source to the graft, in (0, 1]; drawn evenly.

    Returns
    -------
    ndarray of float32, [T]
        With the RMS of ``copy``.

    Raises
    ------
    ValueError
        The clips differ in length.
    """
    if copy.shape != source.shape:
        raise ValueError(f"the copy has {copy.shape} samples, its source {source.shape}")
    kind = KINDS[int(rng.integers(len(KINDS)))]
    place, extent, share = rng.random(), rng.random(), rng.uniform(0.2, 0.8)
    if len(copy) < _SIZE:
        return np.asarray(copy, np.float32)
    made, real = _stft(copy), _stft(source)
    if kind == "band":
        weight = _band(made.shape[1], place, extent)
        mixed = weight * made + (1.0 - weight) * real
    elif kind == "magnitude":
        mixed = np.abs(made) * _direction(real)
    elif kind == "phase":
        mixed = np.abs(real) * _direction(made)
    else:
        louder, softer = np.abs(made) + _TINY, np.abs(real) + _TINY
        mixed = louder ** np.float32(share) * softer ** np.float32(1.0 - share) * _direction(made)
    if depth != WHOLE:
        mixed = _between(real, mixed, np.float32(rng.uniform(*depth)))
    result = _istft(mixed, len(copy))
    level, target = float(np.std(result)), float(np.std(copy))
    return (result * (target / level if level > 0 else 0.0)).astype(np.float32)


def _stft(x: NDArray[Any]) -> NDArray[np.complex64]:
    """Return spectra [N, bins] of [T], single precision; scipy's own take twice as long."""
    frames = -(-len(x) // _HOP) + _SIZE // _HOP - 1
    padded = np.zeros((frames - 1) * _HOP + _SIZE, np.float32)
    padded[_SIZE - _HOP : _SIZE - _HOP + len(x)] = x
    windows = np.lib.stride_tricks.sliding_window_view(padded, _SIZE)[::_HOP]
    return np.asarray(fft.rfft(windows * _WINDOW, axis=1), np.complex64)


def _istft(spectra: NDArray[Any], length: int) -> NDArray[np.float32]:
    """Undo `_stft`: spectra [N, bins] to [length]."""
    windows = fft.irfft(spectra.astype(np.complex64), _SIZE, axis=1) * _WINDOW
    total = np.zeros((len(windows) + _SIZE // _HOP - 1, _HOP), np.float32)
    for place, part in enumerate(np.split(windows, _SIZE // _HOP, axis=1)):
        total[place : place + len(windows)] += part
    return total.reshape(-1)[_SIZE - _HOP :][:length] / _OVERLAP


def _between(
    real: NDArray[np.complex64], mixed: NDArray[np.complex64], way: np.float32
) -> NDArray[np.complex64]:
    """Go ``way`` from one spectrum [N, bins] to another, magnitudes and directions apart."""
    size = (np.abs(real) + _TINY) ** (1 - way) * (np.abs(mixed) + _TINY) ** way
    return np.asarray(size * _direction((1 - way) * _direction(real) + way * _direction(mixed)))


def _direction(spectrum: NDArray[np.complex64]) -> NDArray[np.complex64]:
    return spectrum / (np.abs(spectrum) + _TINY)


def _band(bins: int, place: float, extent: float) -> NDArray[np.float32]:
    """Return weights [bins]: 1 inside a band, 0 outside, straight edges between."""
    width = _LEAST_BAND + (0.6 - _LEAST_BAND) * extent
    low = place * (1.0 - width)
    at = np.linspace(0.0, 1.0, bins)
    rise = np.minimum(at - low, low + width - at) / _EDGE
    return np.clip(0.5 + rise, 0.0, 1.0).astype(np.float32)
