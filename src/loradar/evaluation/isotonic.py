"""Pool adjacent violators: the best calibration that keeps the order of trials.

Zadrozny and Elkan, "Transforming classifier scores into accurate multiclass probability
estimates", 2002; Brummer and du Preez, "Application-independent evaluation of speaker detection",
2006. Tied trials are one bin, so their order cannot matter.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import isotonic_regression

from loradar.evaluation.curves import Curve
from loradar.evaluation.det import FloatArray, checked_scores


class _Bins(NamedTuple):
    """The distinct scores, rising, and how many trials of each class have them."""

    scores: FloatArray
    real: FloatArray
    fake: FloatArray


def min_cllr(bonafide: ArrayLike, spoof: ArrayLike) -> float:
    """Compute the least Cllr, in bits, that any rising map of the scores could have.

    What remains of `metrics.cllr` when calibration is perfect: the cost of poor discrimination.

    Raises
    ------
    InputError
        When a class is empty or a score is not finite.
    """
    bins = _bins(bonafide, spoof)
    share = _shares(bins.real, bins.fake)
    prior = bins.real.sum() / bins.fake.sum()
    with np.errstate(divide="ignore"):
        odds = share / (1 - share) / prior
        # A bin without a class costs that class nothing: its log is infinite, its count zero.
        real = np.where(bins.real > 0, np.log1p(1 / odds), 0.0) @ bins.real / bins.real.sum()
        fake = np.where(bins.fake > 0, np.log1p(odds), 0.0) @ bins.fake / bins.fake.sum()
    return float(real + fake) / (2 * math.log(2))


def fit_isotonic(bonafide: ArrayLike, spoof: ArrayLike) -> Curve:
    """Fit a calibration by pooling adjacent violators.

    One trial of each class is added below and above all others, so that no log-likelihood ratio
    is infinite: with N trials a class it cannot exceed some log(N).

    Parameters
    ----------
    bonafide, spoof : array_like
        Scores, shapes ``[Nb]`` and ``[Ns]``; at least two of them differ.

    Returns
    -------
    Curve
        Flat over each pool, straight lines from pool to pool.

    Raises
    ------
    InputError
        When a class is empty or a score is not finite.
    """
    bins = _bins(bonafide, spoof)
    real, fake = (np.concatenate(([1.0], part, [1.0])) for part in (bins.real, bins.fake))
    share = _shares(real, fake)
    llr = (np.log(share / (1 - share)) - math.log(real.sum() / fake.sum()))[1:-1]
    step = np.flatnonzero(np.diff(llr) != 0)
    # Both ends of every pool: what lies between two equal points needs none.
    kept = np.unique(np.concatenate(([0], step, step + 1, [llr.size - 1])))
    return Curve("isotonic", tuple(bins.scores[kept].tolist()), tuple(llr[kept].tolist()))


def _bins(bonafide: ArrayLike, spoof: ArrayLike) -> _Bins:
    real, fake = checked_scores(bonafide, "bona fide"), checked_scores(spoof, "spoof")
    scores = np.concatenate((real, fake))
    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    of_real = np.add.reduceat((order < real.size).astype(np.float64), starts)
    count = np.diff(np.append(starts, scores.size))
    return _Bins(ordered[starts], of_real, count - of_real)


def _shares(real: FloatArray, fake: FloatArray) -> FloatArray:
    """Return the pooled share of bona fide trials in each bin; never falling."""
    count = real + fake
    found = isotonic_regression(real / count, weights=count)
    return np.asarray(found.x, dtype=np.float64)
