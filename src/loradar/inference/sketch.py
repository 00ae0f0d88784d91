"""A recording of any length as what a picture a thousand columns wide can show."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from loradar.audio.reading import SAMPLE_RATE

COLUMNS = 1200
#: Points of a spectrum, and how many spectra of a column are averaged at most.
POINTS, SPECTRA = 512, 24
_SHORTEST = SAMPLE_RATE // 200  # samples of a column


@dataclass(frozen=True)
class Sketch:
    """Outline and spectrogram, both [columns].

    Attributes
    ----------
    seconds : float
        Length.
    low, high : ndarray, [C]
        Lowest and highest sample of each column.
    level_db : ndarray, [257, C]
        Mean power of each bin (31.25 Hz), in dB below the loudest, -80 at the least.
    """

    seconds: float
    low: np.ndarray
    high: np.ndarray
    level_db: np.ndarray


def sketch(blocks: Iterable[np.ndarray], seconds: float) -> Sketch:
    """Make a sketch of mono samples at 16 kHz that come in blocks.

    Parameters
    ----------
    blocks : iterable of ndarray, [n]
        At least one sample in all.
    seconds : float
        How long they are, which sets the width of a column.
    """
    size = max(_SHORTEST, -(-round(seconds * SAMPLE_RATE) // COLUMNS))
    low, high, power, count = [], [], [], 0
    for column, after in _columns(blocks, size):
        count += len(column)
        low.append(float(column.min()))
        high.append(float(column.max()))
        power.append(_spectrum(after))
    levels = 10 * np.log10(np.stack(power, axis=1) + 1e-20)
    levels = np.maximum(levels - levels.max(), -80.0)
    return Sketch(count / SAMPLE_RATE, np.array(low), np.array(high), levels)


def _columns(blocks: Iterable[np.ndarray], size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Give the samples of each column, and those from its start that a spectrum needs."""
    reach = max(size, POINTS)
    kept: np.ndarray = np.zeros(0, np.float32)
    for block in blocks:
        kept = np.concatenate([kept, block])
        start = 0
        while len(kept) - start >= reach:
            yield kept[start : start + size], kept[start : start + reach]
            start += size
        kept = kept[start:]
    for start in range(0, len(kept), size):
        yield kept[start : start + size], kept[start : start + reach]


def _spectrum(samples: np.ndarray) -> np.ndarray:
    if len(samples) < POINTS:
        samples = np.pad(samples, (0, POINTS - len(samples)))
    starts = np.unique(np.linspace(0, len(samples) - POINTS, SPECTRA).astype(int))
    if len(samples) < 2 * POINTS:
        starts = starts[:1]
    frames = samples[starts[:, None] + np.arange(POINTS)] * np.hanning(POINTS)
    power: np.ndarray = (np.abs(np.fft.rfft(frames, axis=1)) ** 2).mean(axis=0)
    return power
