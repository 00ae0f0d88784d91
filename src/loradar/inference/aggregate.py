"""From the evidence of windows to that of a clip, and to the places where it changes.

A clip counts as spoofed when any part of it is. Its evidence is that of a mixture over what may be
spoofed: by place and, where the windows' sound is known, the mean of that and one by sound.

**By place**: all of it (half the weight), or one stretch of 1, 2, 4, ... windows at any place (the
other half, the same for each length, and within a length for each place). Each stretch's own
evidence is the mean of its windows' log-likelihood ratios: windows of a clip share speaker, room
and channel, so their evidence is not added up. Such a factor exceeds 1/p in real speech with
probability p at most, and so does the mixture, being an average, however much the windows hang
together: a longer recording is not flagged more often for having more windows. The price is that
one stretch among M must be better evidence by log(M). Vovk and Wang, "E-values: calibration,
combination and applications" (2021).

**By sound**: the stretch may be one that sounds unlike the rest (`loradar.inference.foreign`): the
most foreign window with a half of the weight, the next with a sixth, and so on, whatever their
scores. The same promise holds, so foreign is not spoofed: another human voice spliced in counts as
much as its own evidence does. But a sentence from elsewhere is mostly among the first few of
hundreds of windows, and then pays for a choice among as few.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

FloatArray = NDArray[np.float64]

#: Windows up to which a clip is taken as a whole: they all share samples with the middle one.
UNPARTED = 3
#: Cost of a change in the timeline, in variances of the windows' evidence and per log(windows).
CHANGE = 2.5
#: Least standard deviation of a window's evidence within a real recording.
LEAST_SPREAD = 0.5
#: Windows from which on it is known how a recording sounds.
LEAST_WINDOWS = 12


@dataclass(frozen=True)
class Stretch:
    """Windows ``first`` to ``last - 1`` in which the evidence does not change.

    Attributes
    ----------
    first, last : int
        Windows.
    llr : float
        Mean of their log-likelihood ratios, bona fide over spoof.
    corrected : float
        The same as evidence on a place picked among all of the clip's: nearer to 0 by the
        logarithm of how many stretches of this length fit into it, unless what it sounds like
        makes it worth more. What a verdict on this stretch alone goes by.
    """

    first: int
    last: int
    llr: float
    corrected: float


def clip_llr(
    llrs: Sequence[float] | FloatArray, places: Sequence[float] | FloatArray | None = None
) -> float:
    """Return a clip's log-likelihood ratio from its windows'.

    Parameters
    ----------
    llrs : array_like of float, [N]
        Natural-log likelihood ratios, bona fide over spoof, in order of time; all finite.
    places : array_like of float, [N], optional
        Prior weight of each window by its sound alone (`loradar.inference.foreign.places`); not
        used below 12 windows.

    Returns
    -------
    float
        The mean of up to three windows, as calibrations are fitted on it; else see the module.

    Examples
    --------
    >>> clip_llr([2.0])
    2.0
    >>> clip_llr([5.0] * 200 + [-20.0] * 4 + [5.0] * 200) < -5
    True
    """
    values = np.asarray(llrs, np.float64)
    count = len(values)
    whole = -float(values.mean())
    if count <= UNPARTED:
        return -whole
    parts = [
        float(logsumexp(-means)) - np.log(len(means))
        for means in (_means(values, length) for length in _lengths(count))
    ]
    part = float(logsumexp(parts)) - np.log(len(parts))
    mixture = float(np.logaddexp(whole, part) - np.log(2.0))
    sound = _by_sound(values, places)
    return -mixture if sound is None else -float(np.logaddexp(mixture, sound) - np.log(2.0))


def combined_llr(llrs: Sequence[float]) -> float:
    """Return the log-likelihood ratio of several channels, one of which may be spoofed.

    Each is as likely to be; see `clip_llr` for why this does not flag more for more channels.
    """
    return -float(logsumexp(-np.asarray(llrs, np.float64)) - np.log(len(llrs)))


def stretches(
    llrs: Sequence[float] | FloatArray, places: Sequence[float] | FloatArray | None = None
) -> list[Stretch]:
    """Cut a clip where its evidence changes.

    The cut that minimises the squared distance of the windows to their stretch's mean plus a
    cost a change (optimal partitioning: Jackson et al., 2005; pruned: Killick et al., 2012).

    Parameters
    ----------
    llrs, places : array_like of float, [N]
        As for `clip_llr`.

    Returns
    -------
    list of Stretch
        Covering all windows.

    Examples
    --------
    >>> [(s.first, s.last) for s in stretches([4.0] * 9 + [-9.0] * 3 + [4.0] * 8)]
    [(0, 9), (9, 12), (12, 20)]
    """
    values = np.asarray(llrs, np.float64)
    count = len(values)
    if count == 0:
        return []
    edges = _partition(values, CHANGE * _spread(values) ** 2 * np.log(max(count, 2)))
    total, at = -clip_llr(values, places), -1
    if total > 0 and (_by_sound(values, places) or 0.0) > total:
        # What decides on the clip is to be seen in its timeline.
        at, begin, end = _decisive(values, np.asarray(places, np.float64))
        if not any(begin <= edge <= end for edge in edges):
            edges = sorted({*edges, begin, end})
    found = []
    for first, last in pairwise(edges):
        llr, length = float(values[first:last].mean()), last - first
        weight = max(abs(llr) - float(np.log(count / length)), 0.0)
        sound = _by_sound(values, places, first, last)
        if llr < 0 and sound is not None:
            weight = max(weight, sound - float(np.log(2.0)))
            if first <= at < last:
                weight = max(weight, min(total, -float(values[at])))
        found.append(Stretch(first, last, llr, float(np.copysign(weight, llr))))
    return found


def _means(values: FloatArray, length: int) -> FloatArray:
    total = np.concatenate([[0.0], np.cumsum(values)])
    means: FloatArray = (total[length:] - total[:-length]) / length
    return means


def _by_sound(
    values: FloatArray,
    places: Sequence[float] | FloatArray | None,
    first: int = 0,
    last: int | None = None,
) -> float | None:
    """Evidence that one of some windows came from elsewhere; None where no sound is known."""
    if places is None or len(values) < LEAST_WINDOWS:
        return None
    weights = np.asarray(places, np.float64)[first:last]
    return float(logsumexp(-values[first:last], b=weights))


def _decisive(values: FloatArray, places: FloatArray) -> tuple[int, int, int]:
    """The window that sound and score speak against most; it and neighbours half as suspect."""
    at = int(np.argmax(np.log(places) - values))
    suspect = values < min(float(values[at]) / 2.0, 0.0)
    suspect[at] = True
    before = np.flatnonzero(~suspect[:at])
    after = np.flatnonzero(~suspect[at:])
    first = int(before[-1]) + 1 if before.size else 0
    last = at + int(after[0]) if after.size else len(values)
    return at, first, last


def _lengths(count: int) -> list[int]:
    return [2**power for power in range(int(np.log2(count - 1)) + 1)] if count > 1 else [1]


def _spread(values: FloatArray) -> float:
    """Standard deviation between changes: from windows two apart, which share no sample."""
    steps = np.abs(values[2:] - values[:-2]) if len(values) > 2 else np.zeros(1)
    return max(1.4826 * float(np.median(steps)) / 2**0.5, LEAST_SPREAD)


def _partition(values: FloatArray, cost: float) -> list[int]:
    sums = np.concatenate([[0.0], np.cumsum(values)])
    squares = np.concatenate([[0.0], np.cumsum(values**2)])
    best = np.zeros(len(values) + 1)
    best[0] = -cost
    before = np.zeros(len(values) + 1, np.int64)
    open_ = np.zeros(1, np.int64)  # starts that may still be the best
    for end in range(1, len(values) + 1):
        length = end - open_
        error = squares[end] - squares[open_] - (sums[end] - sums[open_]) ** 2 / length
        totals = best[open_] + error
        place = int(np.argmin(totals))
        best[end], before[end] = totals[place] + cost, open_[place]
        open_ = np.append(open_[totals <= best[end]], end)
    edges = [len(values)]
    while edges[-1] > 0:
        edges.append(int(before[edges[-1]]))
    return edges[::-1]
