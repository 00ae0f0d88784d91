"""Calibration by a monotone spline: logistic regression on a smooth curve that never falls.

The log-odds are a quadratic B-spline of the score whose coefficients may only rise, which makes
the curve rise (I-splines: Ramsay, "Monotone regression splines in action", 1988). The problem is
convex, so equal trials give equal curves.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike
from scipy.interpolate import BSpline
from scipy.optimize import minimize
from scipy.special import expit

from loradar.evaluation.calibration import prior_log_odds
from loradar.evaluation.curves import Curve
from loradar.evaluation.det import FloatArray, checked_scores
from loradar.evaluation.isotonic import fit_isotonic

DEGREE = 2
# On the real score files of the tests 6 to 12 inner knots give the same to 1 %.
INNER_KNOTS = 8
TRIALS_A_KNOT = 10
RIDGE = 1e-4
POINTS_A_PIECE = 32


def fit_spline(bonafide: ArrayLike, spoof: ArrayLike, p_spoof: float = 0.5) -> Curve:
    """Fit a calibration by a monotone spline.

    Minimises the cross-entropy in which the classes weigh ``1 - p_spoof`` and ``p_spoof`` whatever
    their numbers, plus a small penalty on the rises.

    Parameters
    ----------
    bonafide, spoof : array_like
        Scores, shapes ``[Nb]`` and ``[Ns]``; at least two of them differ.
    p_spoof : float
        Prior of the spoof class.

    Returns
    -------
    Curve
        The spline at `POINTS_A_PIECE` scores between two knots.

    Raises
    ------
    InputError
        When a class is empty or a score is not finite.
    ConfigError
        When the prior is not inside (0, 1).
    """
    prior = prior_log_odds(p_spoof)
    real, fake = checked_scores(bonafide, "bona fide"), checked_scores(spoof, "spoof")
    scores = np.concatenate((real, fake))
    sign = np.repeat([1.0, -1.0], [real.size, fake.size])
    weight = np.repeat([(1 - p_spoof) / real.size, p_spoof / fake.size], [real.size, fake.size])
    inner = min(INNER_KNOTS, min(real.size, fake.size) // TRIALS_A_KNOT)
    breaks = _breaks(real, fake, inner)
    knots = np.concatenate(([breaks[0]] * DEGREE, breaks, [breaks[-1]] * DEGREE))
    basis = BSpline.design_matrix(scores, knots, DEGREE).tocsc()
    size = basis.shape[1]

    def loss(rises: FloatArray) -> tuple[float, FloatArray]:
        odds = basis @ np.cumsum(rises) + prior
        penalised = np.concatenate(([0.0], rises[1:]))
        value = weight @ np.logaddexp(0.0, -sign * odds) + 0.5 * RIDGE * penalised @ penalised
        slope = basis.T @ (-weight * sign * expit(-sign * odds))
        # The gradient by a rise is that by all coefficients from it on.
        return float(value), np.cumsum(slope[::-1])[::-1] + RIDGE * penalised

    found = minimize(
        loss,
        np.concatenate(([-2.0], np.full(size - 1, 4.0 / (size - 1)))),
        jac=True,
        method="L-BFGS-B",
        bounds=[(None, None), *[(0.0, None)] * (size - 1)],
        options={"ftol": 1e-13, "gtol": 1e-9, "maxiter": 1000},
    )
    pieces = [
        np.linspace(low, high, POINTS_A_PIECE, endpoint=False) for low, high in pairwise(breaks)
    ]
    table = np.unique(np.concatenate([*pieces, breaks[-1:]]))
    llrs = BSpline(knots, np.cumsum(found.x), DEGREE)(table)
    return Curve("spline", tuple(table.tolist()), tuple(np.maximum.accumulate(llrs).tolist()))


def _breaks(real: FloatArray, fake: FloatArray, inner: int) -> FloatArray:
    """Return the least score, ``inner`` or fewer knots, the greatest score.

    The knots lie where pooled adjacent violators pass even steps of LLR, so that they are dense
    where the curve climbs: many systems end in a softmax or a cosine, which squeezes nearly all
    scores against two ends.
    """
    steps = fit_isotonic(real, fake)
    levels = np.linspace(steps.llrs[0], steps.llrs[-1], inner + 2)[1:-1]
    inside = np.interp(levels, steps.llrs, steps.scores)
    return np.unique(np.concatenate((steps.scores[:1], inside, steps.scores[-1:])))
