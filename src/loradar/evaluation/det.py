"""Detection error curves and the equal error rates read off them.

Scores follow the project's sign: higher is more bona fide. A trial is accepted when its score lies
above the threshold, so with a rising threshold the false rejection rate of bona fide trials (FRR,
"miss") grows from 0 to 1 and the false acceptance rate of spoofed trials (FAR) falls from 1 to 0.
All rates are fractions.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from loradar.errors import InputError

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


class OperatingPoint(NamedTuple):
    """A metric's value and the threshold that gives it (accept above the threshold)."""

    value: float
    threshold: float


class DetCurve(NamedTuple):
    """Error rates at rising thresholds; see `det_curve`."""

    frr: FloatArray
    far: FloatArray
    thresholds: FloatArray


def checked_scores(scores: ArrayLike, name: str) -> FloatArray:
    """Return ``scores`` as a float64 vector ``[N]``, N > 0, all finite.

    Raises
    ------
    InputError
        When there is no score, when one is not a finite number, or the shape is not one row.
    """
    array = np.asarray(scores, dtype=np.float64)
    if array.ndim != 1:
        raise InputError(f"the {name} scores must be one row of numbers, not shape {array.shape}")
    if array.size == 0:
        raise InputError(f"there are no {name} trials: error rates need both classes")
    bad = np.flatnonzero(~np.isfinite(array))
    if bad.size:
        raise InputError(
            f"{bad.size} of {array.size} {name} scores are not finite numbers "
            f"(first: number {bad[0] + 1} is {array[bad[0]]}); score those trials again"
        )
    return array


def lowest(cost: FloatArray) -> int:
    """Return the first index at the minimum, blind to rounding in the last digits.

    Different thresholds often cost the same; without slack the rounding of sums would choose.
    """
    return int(np.flatnonzero(cost <= cost.min() + 1e-12)[0])


def det_curve(bonafide: ArrayLike, spoof: ArrayLike) -> DetCurve:
    """Compute the detection error trade-off curve as the ASVspoof evaluation packages do.

    Every trial is one step of the curve, ties included: a stable sort keeps bona fide trials before
    spoofed ones of the same score (the convention of the 2019, 2021 and ASVspoof 5 packages).

    Parameters
    ----------
    bonafide, spoof : array_like
        Scores, shapes ``[Nb]`` and ``[Ns]``.

    Returns
    -------
    DetCurve
        ``frr``, ``far`` and ``thresholds``, each of shape ``[Nb + Ns + 1]``.

    Raises
    ------
    InputError
        When a class is empty or a score is not finite.
    """
    real = checked_scores(bonafide, "bona fide")
    fake = checked_scores(spoof, "spoof")
    scores = np.concatenate((real, fake))
    order = np.argsort(scores, kind="stable")
    is_real = order < real.size
    rejected_real = np.cumsum(is_real)
    rejected_fake = np.arange(1, scores.size + 1) - rejected_real
    frr = np.concatenate(([0.0], rejected_real / real.size))
    far = np.concatenate(([1.0], (fake.size - rejected_fake) / fake.size))
    # The first point accepts everything; the packages put it 0.001 below the lowest score.
    thresholds = np.concatenate(([scores[order[0]] - 0.001], scores[order]))
    return DetCurve(frr, far, thresholds)


def eer_point(bonafide: ArrayLike, spoof: ArrayLike) -> OperatingPoint:
    """Compute the official equal error rate and its threshold.

    The mean of FRR and FAR where they are closest, as in the ASVspoof 2021 and ASVspoof 5
    evaluation packages. Where many scores tie it depends on the order of tied trials (all scores
    equal gives 1.0): `eer_tie_safe` does not.

    Raises
    ------
    InputError
        When a class is empty or a score is not finite.
    """
    curve = det_curve(bonafide, spoof)
    index = int(np.argmin(np.abs(curve.frr - curve.far)))
    rate = (curve.frr[index] + curve.far[index]) / 2
    return OperatingPoint(float(rate), float(curve.thresholds[index]))


def eer(bonafide: ArrayLike, spoof: ArrayLike) -> float:
    """Compute the official equal error rate as a fraction; see `eer_point`."""
    return eer_point(bonafide, spoof).value


class WeightedEer:
    """The tie-safe equal error rate of fixed scores under changing trial weights.

    Sorting happens once; each call costs one cumulative sum, which makes bootstrap cheap.

    Parameters
    ----------
    scores : array_like
        Shape ``[N]``.
    is_bonafide : array_like of bool
        Shape ``[N]``; both classes must occur.

    Raises
    ------
    InputError
        When a class is empty or a score is not finite.
    """

    def __init__(self, scores: ArrayLike, is_bonafide: ArrayLike) -> None:
        values = np.asarray(scores, dtype=np.float64)
        labels = np.asarray(is_bonafide, dtype=bool)
        checked_scores(values[labels], "bona fide")
        checked_scores(values[~labels], "spoof")
        self._order = np.argsort(values, kind="stable")
        self._is_bonafide = labels[self._order]
        ordered = values[self._order]
        # Tied trials are rejected together: the curve has a point only where a tie group ends.
        self._ends = np.append(np.flatnonzero(ordered[1:] != ordered[:-1]), values.size - 1)

    def __call__(self, weights: ArrayLike | None = None) -> float:
        """Return the equal error rate; ``weights`` (``[N]``, non-negative) default to one each.

        NaN when the weights leave a class empty.
        """
        if weights is None:
            weight = np.ones(self._order.size)
        else:
            weight = np.asarray(weights, dtype=np.float64)[self._order]
        total = float(weight.sum())
        real = float(weight[self._is_bonafide].sum())
        fake = total - real
        if real <= 0 or fake <= 0:
            return float("nan")
        # FRR - FAR = (rejected bona fide)/Nb + (rejected spoof)/Ns - 1, which never falls.
        excess = np.cumsum(weight * np.where(self._is_bonafide, 1 / real, 1 / fake))
        excess = excess[self._ends] - 1.0
        crossing = min(int(np.searchsorted(excess, 0.0)), self._ends.size - 1)
        before = -1.0 if crossing == 0 else float(excess[crossing - 1])
        after = float(excess[crossing])
        first = 0 if crossing == 0 else int(self._ends[crossing - 1]) + 1
        last = int(self._ends[crossing]) + 1
        frr_before = float(weight[:first] @ self._is_bonafide[:first]) / real
        frr_step = float(weight[first:last] @ self._is_bonafide[first:last]) / real
        share = 1.0 if after <= before else min(1.0, -before / (after - before))
        return min(1.0, max(0.0, frr_before + share * frr_step))

    def many(self, weights: ArrayLike) -> FloatArray:
        """Return the rates of ``D`` weightings at once: ``[D, N]`` to ``[D]``, far faster."""
        weight = np.asarray(weights, dtype=np.float64)[:, self._order]
        rejected = np.cumsum(weight * self._is_bonafide, axis=1)
        both = np.cumsum(weight, axis=1)
        real, fake = rejected[:, -1:], both[:, -1:] - rejected[:, -1:]
        empty = ((real <= 0) | (fake <= 0))[:, 0]
        with np.errstate(divide="ignore", invalid="ignore"):
            frr = rejected[:, self._ends] / real
            excess = frr + (both - rejected)[:, self._ends] / fake - 1.0
        start = np.zeros((len(weight), 1))
        frr = np.concatenate((start, frr), axis=1)
        excess = np.concatenate((start - 1.0, excess), axis=1)
        reached = excess >= 0
        # The last point stands for a crossing that rounding hides.
        after = np.where(reached.any(axis=1), reached.argmax(axis=1), excess.shape[1] - 1)
        rows, before = np.arange(len(weight)), after - 1
        low, high = excess[rows, before], excess[rows, after]
        rise = np.where(high > low, high - low, 1.0)
        share = np.where(high > low, np.minimum(1.0, -low / rise), 1.0)
        value = frr[rows, before] + share * (frr[rows, after] - frr[rows, before])
        return np.where(empty, np.nan, np.clip(value, 0.0, 1.0))


def eer_tie_safe(bonafide: ArrayLike, spoof: ArrayLike) -> float:
    """Compute the equal error rate by linear interpolation of the curve between tie groups.

    Tied trials are accepted or rejected together, so the order of trials cannot matter: all scores
    equal gives 0.5.

    Raises
    ------
    InputError
        When a class is empty or a score is not finite.
    """
    real = checked_scores(bonafide, "bona fide")
    fake = checked_scores(spoof, "spoof")
    labels = np.arange(real.size + fake.size) < real.size
    return WeightedEer(np.concatenate((real, fake)), labels)()


def eer_convex_hull(bonafide: ArrayLike, spoof: ArrayLike) -> float:
    """Compute the equal error rate on the convex hull of the ROC curve (ROCCH-EER).

    The rate an optimally re-calibrated system would have at the worst prior (Brummer and
    de Villiers, "The BOSARIS toolkit", 2013); never above 0.5.

    Raises
    ------
    InputError
        When a class is empty or a score is not finite.
    """
    curve = det_curve(bonafide, spoof)
    hull = _lower_hull(np.stack((curve.frr, curve.far), axis=1))
    excess = hull[:, 0] - hull[:, 1]
    index = int(np.searchsorted(excess, 0.0))  # excess starts at -1 and ends at 1
    before, after = excess[index - 1], excess[index]
    share = -before / (after - before)
    return float(hull[index - 1, 0] + share * (hull[index, 0] - hull[index - 1, 0]))


def _lower_hull(points: FloatArray) -> FloatArray:
    """Return the lower convex hull of a falling curve ``[N, 2]`` from (0, 1) to (1, 0).

    Only corners can lie on the hull, so the points that merely continue a straight run go first;
    the loop (Andrew's monotone chain) then sees a small part of the trials.
    """
    step = np.diff(points, axis=0)
    corner = np.ones(len(points), dtype=bool)
    # Keep a point where a fall of FAR ends and a rise of FRR begins: the only convex corners.
    corner[1:-1] = (step[:-1, 1] < 0) & (step[1:, 0] > 0)
    chain: list[tuple[float, float]] = []
    for x, y in points[corner].tolist():
        while len(chain) >= 2:
            (x0, y0), (x1, y1) = chain[-2], chain[-1]
            if (x1 - x0) * (y - y0) - (y1 - y0) * (x - x0) > 0:
                break
            chain.pop()
        chain.append((x, y))
    return np.asarray(chain)
