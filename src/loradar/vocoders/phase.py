"""Vocoders that keep short-time magnitudes and spoil the phase."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from loradar.vocoders.analysis import Complex, Samples, centred, istft, like, stft
from loradar.vocoders.griffin_lim import frame_sizes, recover_phase

Start = Literal["random", "zero", "advance"]


def phase_randomised(
    samples: NDArray[Any],
    sample_rate: int,
    rng: np.random.Generator,
    *,
    spread_turns: float = 0.35,
    window: float = 0.016,
    overlap: int = 4,
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
    window : float
        Seconds.
    overlap : int
        Frames that cover each sample.

    Returns
    -------
    ndarray of float32, [T]
    """
    x = centred(samples)
    size, hop = frame_sizes(window, overlap, sample_rate)
    spectrum = stft(x, size, hop)
    turns = rng.uniform(-spread_turns, spread_turns, spectrum.shape)
    turned = spectrum * np.exp(2j * np.pi * turns)
    return like(istft(turned, size, hop, len(x)), samples)


def phase_recovery(
    samples: NDArray[Any],
    sample_rate: int,
    rng: np.random.Generator,
    *,
    window: float = 0.032,
    overlap: int = 4,
    iterations: int = 5,
    momentum: float = 0.0,
    start: Start = "random",
) -> Samples:
    """Keep linear magnitudes and find phases for them in a few rounds.

    Parameters
    ----------
    samples, sample_rate, window, overlap
        As for `phase_randomised`.
    rng : numpy.random.Generator
        Draws the first phase when it is random.
    iterations, momentum
        Rounds of Griffin and Lim's algorithm; see `recover_phase`.
    start : {"random", "zero", "advance"}
        The first phase: random; zero at the middle of each frame; or going on at the frequency of
        the nearest peak (single pass spectrogram inversion, Beauregard et al. 2015).

    Returns
    -------
    ndarray of float32, [T]
    """
    x = centred(samples).astype(np.float32)
    size, hop = frame_sizes(window, overlap, sample_rate)
    magnitude = np.abs(stft(x, size, hop))
    middle = 0.5 * np.arange(magnitude.shape[1])
    turns = None
    if start == "zero":
        turns = np.broadcast_to(middle, magnitude.shape)
    elif start == "advance":
        turns = _advance(magnitude, size, hop) + middle
    found = recover_phase(magnitude, (size, hop), len(x), rng, iterations, momentum, turns)
    return like(found, samples)


def phase_vocoder(
    samples: NDArray[Any],
    sample_rate: int,
    rng: np.random.Generator,
    *,
    stretch: float = 1.37,
    window: float = 0.032,
    lock: bool = False,
) -> Samples:
    """Stretch speech in time and press it back, by a phase vocoder both ways.

    Flanagan and Golden (1966) in its short-time Fourier form (Portnoff 1976): each bin's phase
    goes on at its own frequency, so that the bins of a partial drift apart unless they are locked
    to their peak (Laroche and Dolson 1999).

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
    window : float
        Seconds.
    lock : bool
        Lock the phases around each peak to it.

    Returns
    -------
    ndarray of float32, [T]
    """
    x = centred(samples)
    size, hop = frame_sizes(window, 4, sample_rate)
    longer = max(1, round(len(x) * stretch))
    there = istft(_restretch(stft(x, size, hop), stretch, hop, rng, lock), size, hop, longer)
    back = _restretch(stft(there, size, hop), 1 / stretch, hop, rng, lock)
    return like(istft(back, size, hop, len(x)), samples)


def _restretch(
    spectrum: Complex, factor: float, hop: int, rng: np.random.Generator, lock: bool
) -> Complex:
    """Resample a spectrum [N, bins] in time by ``factor``, phases advanced at each bin's rate."""
    count, bins = spectrum.shape
    places = np.minimum(np.arange(max(1, round(count * factor)) + 1) / factor, count - 1)
    low = places.astype(int)
    high = np.minimum(low + 1, count - 1)
    share = (places - low)[:, None]
    magnitude = np.abs(spectrum)
    magnitude = (1 - share) * magnitude[low] + share * magnitude[high]
    angle = np.angle(spectrum)
    expected = 2 * np.pi * hop * np.arange(bins) / (2 * (bins - 1))
    advance = angle[high] - angle[low] - expected
    advance = expected + advance - 2 * np.pi * np.round(advance / (2 * np.pi))
    start = 2 * np.pi * rng.random((1, bins))
    if lock:
        near = np.round(places).astype(int)
        phase = _locked(magnitude, angle[near], advance, start[0])
    else:
        phase = np.concatenate([start, start + np.cumsum(advance[:-1], axis=0)])
    stretched: Complex = magnitude * np.exp(1j * phase)
    return stretched


def _locked(
    magnitude: NDArray[Any], angle: NDArray[Any], advance: NDArray[Any], start: NDArray[Any]
) -> NDArray[Any]:
    """Accumulate phases [N, bins] at the peaks, and keep the differences around each of them."""
    peak = nearest_peak(magnitude)
    phase = np.empty_like(angle)
    now = start + angle[0]
    for n in range(len(angle)):
        # Every bin takes its peak's phase plus what lay between them in the analysis.
        phase[n] = now[peak[n]] + angle[n] - angle[n, peak[n]]
        now = phase[n] + advance[n]
    return phase


def _advance(magnitude: NDArray[Any], size: int, hop: int) -> NDArray[Any]:
    """Phases [N, bins] in turns, at the frames' middles, going on at the peaks' frequencies."""
    peak = nearest_peak(magnitude)
    level = np.log(np.maximum(magnitude, 1e-9))
    inner = np.clip(peak, 1, level.shape[1] - 2)
    before, at, after = (np.take_along_axis(level, inner + i, axis=1) for i in (-1, 0, 1))
    # A parabola through the peak finds its frequency between bins.
    bend = np.minimum(before - 2 * at + after, -1e-6)
    place = inner + np.clip(0.5 * (before - after) / bend, -0.5, 0.5)
    step = place * (hop / size)
    turns = np.zeros(magnitude.shape)
    for n in range(1, len(turns)):
        turns[n] = turns[n - 1, peak[n]] + step[n]
    return turns - np.floor(turns)


def nearest_peak(magnitude: NDArray[Any]) -> NDArray[np.intp]:
    """Return for every bin of [N, bins] the index of the local maximum nearest to it."""
    count, bins = magnitude.shape
    edge = np.full((count, 1), -np.inf)
    left = np.hstack([edge, magnitude[:, :-1]])
    right = np.hstack([magnitude[:, 1:], edge])
    peaks = (magnitude >= left) & (magnitude > right)
    peaks[:, -1] |= ~peaks.any(axis=1)
    place = np.arange(bins)
    below = np.maximum.accumulate(np.where(peaks, place, -4 * bins), axis=1)
    above = np.minimum.accumulate(np.where(peaks, place, 4 * bins)[:, ::-1], axis=1)[:, ::-1]
    return np.where(place - below <= above - place, below, above)
