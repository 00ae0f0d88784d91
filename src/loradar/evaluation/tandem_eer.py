"""The tandem equal error rate (t-EER): a figure of two systems that needs no priors or costs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from loradar.evaluation.det import DetCurve, FloatArray, checked_scores, det_curve

Rates = tuple[FloatArray, FloatArray, FloatArray]
STRIDE = 256


class TandemEer(NamedTuple):
    """The rate, and the thresholds of both systems that give it (accept above)."""

    value: float
    asv_threshold: float
    cm_threshold: float


def concurrent_t_eer(
    bonafide: ArrayLike,
    spoof: ArrayLike,
    asv_target: ArrayLike,
    asv_nontarget: ArrayLike,
    asv_spoof: ArrayLike,
) -> TandemEer:
    """Compute the concurrent t-EER of a countermeasure and a speaker verification system.

    Kinnunen et al., "t-EER: parameter-free tandem evaluation of countermeasures and biometric
    comparators", 2023: the one pair of thresholds at which the tandem's miss rate, its false
    acceptance of non-targets and that of spoofs are equal. As in the ASVspoof 5 package, the two
    systems are taken as independent and the value is the false acceptance rate of spoofs.

    Parameters
    ----------
    bonafide, spoof : array_like
        Countermeasure scores, shapes ``[Nb]`` and ``[Ns]``.
    asv_target, asv_nontarget, asv_spoof : array_like
        Speaker verification scores.

    Raises
    ------
    InputError
        When a kind of trial is missing or a score is not finite.
    """
    cm = det_curve(bonafide, spoof)
    kinds = [
        np.sort(checked_scores(asv_target, "target")),
        np.sort(checked_scores(asv_nontarget, "non-target")),
        np.sort(checked_scores(asv_spoof, "ASV spoof")),
    ]
    merged = np.concatenate(kinds)
    order = np.argsort(merged, kind="stable")
    kind = np.repeat(np.arange(3), [part.size for part in kinds])[order]
    rejected = [
        np.concatenate(([0.0], np.cumsum(kind == index) / part.size))
        for index, part in enumerate(kinds)
    ]
    miss, nontarget, spoofed = rejected[0], 1 - rejected[1], 1 - rejected[2]
    place = _crossings(cm, miss, nontarget, spoofed)
    # Non-targets and spoofs pass equally often where these two ratios meet.
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = np.abs(nontarget / spoofed - cm.far[place] / (1 - cm.frr[place]))
    best = int(np.argmin(np.where(np.isnan(apart), np.inf, apart)))
    thresholds = np.concatenate(([merged[order[0]] - 0.001], merged[order]))
    return TandemEer(
        float(spoofed[best] * cm.far[place[best]]),
        float(thresholds[best]),
        float(cm.thresholds[place[best]]),
    )


def _crossings(
    cm: DetCurve, miss: FloatArray, nontarget: FloatArray, spoofed: FloatArray
) -> NDArray[np.intp]:
    """Return, for each ASV threshold, the countermeasure's at which misses meet acceptances.

    Misses grow and acceptances fall with either threshold. So the crossing is found by halving, for
    all ASV thresholds at once, and moves one way along them: every `STRIDE`-th is found first and
    brackets those between. Spoofs are half of what is not a target; at the point looked for that
    share does not matter.
    """
    last = cm.frr.size - 1
    coarse = np.unique(np.append(np.arange(0, miss.size, STRIDE), miss.size - 1))
    found = _halve(
        cm,
        (miss[coarse], nontarget[coarse], spoofed[coarse]),
        np.zeros(coarse.size, dtype=np.intp),
        np.full(coarse.size, last),
    )
    above = np.searchsorted(coarse, np.arange(miss.size))  # the next that was found
    high = found[np.maximum(above - 1, 0)]
    low = np.minimum(found[above], high)
    place = _halve(cm, (miss, nontarget, spoofed), low, high)
    before = np.maximum(place - 1, 0)
    rates = (miss, nontarget, spoofed)
    nearer = np.abs(_excess(cm, rates, before)) <= np.abs(_excess(cm, rates, place))
    return np.where(nearer, before, place)


def _halve(
    cm: DetCurve, rates: Rates, low: NDArray[np.intp], high: NDArray[np.intp]
) -> NDArray[np.intp]:
    """Return the first place, in [low, high], at which misses are no fewer than acceptances."""
    while (low < high).any():
        middle = (low + high) // 2
        reached = _excess(cm, rates, middle) >= 0
        high = np.where(reached, middle, high)
        low = np.where(reached, low, np.minimum(middle + 1, high))
    return low


def _excess(cm: DetCurve, rates: Rates, place: NDArray[np.intp]) -> FloatArray:
    """Misses less acceptances of the tandem."""
    miss, nontarget, spoofed = rates
    rejected = cm.frr[place]
    passed = 1 - rejected
    accepted = 0.5 * (passed * nontarget + cm.far[place] * spoofed)
    return np.asarray(rejected + passed * miss - accepted, dtype=np.float64)
