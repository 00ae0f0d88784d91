"""Cutting clips into windows, and bringing them to one length."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from loradar.errors import InputError

WINDOW = 64_600  # 4.0375 s at 16 kHz, the field's usual training length


def usual_hop(length: int) -> int:
    """Return the samples from window to window: neighbours share a third.

    Examples
    --------
    >>> usual_hop(64_600)
    43066
    """
    return max(2 * length // 3, 1)


def windows(
    samples: NDArray[Any], length: int = WINDOW, hop: int | None = None
) -> list[tuple[int, NDArray[Any]]]:
    """Cut a clip into windows that cover all of it.

    Parameters
    ----------
    samples : ndarray, [T]
        The clip.
    length, hop : int
        Samples of a window, and from the start of one to the next (default: `usual_hop`).

    Returns
    -------
    list of (int, ndarray [length])
        Start and samples. The last window ends where the clip ends, so it may start less than a
        hop after the one before. A clip shorter than a window gives one, filled by repetition.

    Examples
    --------
    >>> [(start, part.tolist()) for start, part in windows(np.arange(5), 3, 3)]
    [(0, [0, 1, 2]), (2, [2, 3, 4])]
    """
    _check(samples, length)
    hop = usual_hop(length) if hop is None else hop
    if hop < 1:
        raise InputError(f"a hop of {hop} samples between windows; it must be 1 or more")
    last = len(samples) - length
    if last <= 0:
        return [(0, tile_repeat(samples, length))]
    starts = [*range(0, last, hop), last]
    return [(start, samples[start : start + length]) for start in starts]


class WindowCutter:
    """`windows` for samples that come in pieces.

    Parameters
    ----------
    length, hop : int
        As for `windows`.

    Attributes
    ----------
    samples : int
        How many have come.

    Examples
    --------
    >>> cutter = WindowCutter(3, 2)
    >>> [start for start, _ in cutter.push(np.arange(4))]
    [0]
    >>> [(start, part.tolist()) for start, part in cutter.close()]
    [(1, [1, 2, 3])]
    """

    def __init__(self, length: int = WINDOW, hop: int | None = None) -> None:
        hop = usual_hop(length) if hop is None else hop
        if length < 1 or hop < 1:
            raise InputError(f"windows of {length} samples every {hop}; both must be 1 or more")
        self.length, self.hop = length, hop
        self.samples = 0
        self._kept: NDArray[Any] = np.zeros(0, np.float32)
        self._first = 0  # where the kept samples begin
        self._next = 0  # where the next window starts

    def push(self, samples: NDArray[Any]) -> list[tuple[int, NDArray[Any]]]:
        """Take samples [n]; return start and samples of each window that is full now."""
        self.samples += len(samples)
        self._kept = np.concatenate([self._kept, samples]) if self._kept.size else samples
        found = []
        while self._next + self.length <= self.samples:
            at = self._next - self._first
            found.append((self._next, self._kept[at : at + self.length].copy()))
            self._next += self.hop
        # The last window of all ends with the last sample, so a whole window stays.
        cut = max(0, min(self._next, self.samples - self.length) - self._first)
        self._kept, self._first = self._kept[cut:], self._first + cut
        return found

    def close(self) -> list[tuple[int, NDArray[Any]]]:
        """Return the last window, where samples are left over: a short clip's is tiled."""
        last = self.samples - self.length
        if self.samples == 0 or (self._next > 0 and last == self._next - self.hop):
            return []
        if last < 0:
            return [(0, tile_repeat(self._kept, self.length))]
        return [(last, self._kept[last - self._first :].copy())]


def tile_repeat(samples: NDArray[Any], length: int) -> NDArray[Any]:
    """Repeat a clip end to end until it fills ``length`` samples; a longer one is cut.

    Examples
    --------
    >>> tile_repeat(np.array([1, 2, 3]), 7).tolist()
    [1, 2, 3, 1, 2, 3, 1]
    """
    _check(samples, length)
    return np.resize(samples, length) if len(samples) < length else samples[:length]


def crop(samples: NDArray[Any], length: int, rng: np.random.Generator) -> NDArray[Any]:
    """Return a random stretch of ``length`` samples; a shorter clip is filled by repetition.

    One number is drawn from ``rng`` whatever the clip's length, so that later draws do not depend
    on it.
    """
    _check(samples, length)
    place = rng.random()
    if len(samples) <= length:
        return tile_repeat(samples, length)
    start = min(int(place * (len(samples) - length + 1)), len(samples) - length)
    return samples[start : start + length]


def _check(samples: NDArray[Any], length: int) -> None:
    if samples.ndim != 1 or samples.size == 0:
        raise InputError(f"a clip of shape {samples.shape}; mono samples [T], T >= 1, are needed")
    if length < 1:
        raise InputError(f"a window of {length} samples; it must be 1 or more")
