"""The tandem equal error rate (t-EER): a figure of two systems that needs no priors or costs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from loradar.evaluation.det import FloatArray, checked_scores, det_curve


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
        checked_scores(asv_target, "target"),
        checked_scores(asv_nontarget, "non-target"),
        checked_scores(asv_spoof, "ASV spoof"),
    ]
    merged = np.concatenate(kinds)
    order = np.argsort(merged, kind="stable")
    kind = np.repeat(np.arange(3), [part.size for part in kinds])[order]
    rejected = [
        np.concatenate(([0.0], np.cumsum(kind == index) / part.size))
        for index, part in enumerate(kinds)
    ]
    miss, nontarget, spoofed = rejected[0], 1 - rejected[1], 1 - rejected[2]
    place = _crossings(cm.frr, cm.far, miss, nontarget, spoofed)
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
    frr: FloatArray, far: FloatArray, miss: FloatArray, nontarget: FloatArray, spoofed: FloatArray
) -> np.ndarray:
    """Return, for each ASV threshold, the countermeasure's at which misses meet acceptances.

    Misses grow and acceptances fall with the countermeasure's threshold, so the crossing is found
    by halving, for all ASV thresholds at once. Spoofs are half of what is not a target; at the
    point looked for that share does not matter.
    """

    def excess(place: np.ndarray) -> FloatArray:
        passed = 1 - frr[place]
        accepted = 0.5 * passed * nontarget + 0.5 * far[place] * spoofed
        return np.asarray(frr[place] + passed * miss - accepted)

    low = np.zeros(miss.size, dtype=np.intp)
    high = np.full(miss.size, frr.size - 1)
    while (low < high).any():
        middle = (low + high) // 2
        reached = excess(middle) >= 0
        high = np.where(reached, middle, high)
        low = np.where(reached, low, middle + 1)
    before = np.maximum(low - 1, 0)
    nearer = np.abs(excess(before)) <= np.abs(excess(low))
    return np.where(nearer, before, low)
