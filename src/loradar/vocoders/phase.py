"""Vocoders that keep short-time magnitudes and spoil the phase."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from loradar.vocoders.analysis import Complex, Samples, centred, istft, like, power_of_two, stft


def phase_randomised(
    samples: NDArray[Any],
    sample_rate: int,
    rng: np.random.Generator,
    *,
    spread_turns: float = 0.35,
) -> Samples:
    """Turn the phase of every time-frequency bin by a random angle.

    Parameters
    ----------
    samples : ndarray, [T]
        Speech.
    sample_rate : int
        Hertz.
    rng : numpy.random.Generator
        Draws the angles.
    spread_turns : float
        Largest turn to either side, in whole turns; 0.5 leaves nothing of the phase.

    Returns
    -------
    ndarray of float32, [T]
    """
    x = centred(samples)
    size = power_of_two(0.016, sample_rate)
    hop = size // 4
    spectrum = stft(x, size, hop)
    turns = rng.uniform(-spread_turns, spread_turns, spectrum.shape)
    turned = spectrum * np.exp(2j * np.pi * turns)
    return like(istft(turned, size, hop, len(x)), samples)


def phase_vocoder(
    samples: NDArray[Any],
    sample_rate: int,
    rng: np.random.Generator,
    *,
    stretch: float = 1.37,
) -> Samples:
    """Stretch speech in time and press it back, by a phase vocoder both ways.

    Flanagan and Golden (1966) in its short-time Fourier form (Portnoff 1976), no phase locking:
    each bin's phase goes on at its own frequency, so that the bins of a partial drift apart.

    Parameters
    ----------
    samples : ndarray, [T]
        Speech.
    sample_rate : int
        Hertz.
    rng : numpy.random.Generator
        Draws the phases at the start.
    stretch : float
        Factor of the first pass; the second undoes it.

    Returns
    -------
    ndarray of float32, [T]
    """
    x = centred(samples)
    size = power_of_two(0.032, sample_rate)
    hop = size // 4
    longer = max(1, round(len(x) * stretch))
    there = istft(_restretch(stft(x, size, hop), stretch, hop, rng), size, hop, longer)
    back = istft(_restretch(stft(there, size, hop), 1 / stretch, hop, rng), size, hop, len(x))
    return like(back, samples)


def _restretch(spectrum: Complex, factor: float, hop: int, rng: np.random.Generator) -> Complex:
    """Resample a spectrum [N, bins] in time by ``factor``, phases advanced at each bin's rate."""
    count, bins = spectrum.shape
    places = np.minimum(np.arange(max(1, round(count * factor)) + 1) / factor, count - 1)
    low = places.astype(int)
    high = np.minimum(low + 1, count - 1)
    share = (places - low)[:, None]
    magnitude = np.abs(spectrum)
    magnitude = (1 - share) * magnitude[low] + share * magnitude[high]
    expected = 2 * np.pi * hop * np.arange(bins) / (2 * (bins - 1))
    advance = np.angle(spectrum[high]) - np.angle(spectrum[low]) - expected
    advance = expected + advance - 2 * np.pi * np.round(advance / (2 * np.pi))
    start = 2 * np.pi * rng.random((1, bins))
    phase = np.concatenate([start, start + np.cumsum(advance[:-1], axis=0)])
    stretched: Complex = magnitude * np.exp(1j * phase)
    return stretched
