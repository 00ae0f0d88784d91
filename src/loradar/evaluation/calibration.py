"""From raw scores to log-likelihood ratios and posteriors.

An affine map learned by prior-weighted logistic regression (Brummer and du Preez, 2006; "Linear
calibration"): it keeps the order of trials, so the EER does not change. Where that is too stiff, a
rising curve takes its place (`loradar.evaluation.isotonic`, `loradar.evaluation.spline`).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from scipy.special import expit

from loradar.errors import CheckpointError, ConfigError, InputError
from loradar.evaluation.curves import Curve
from loradar.evaluation.det import FloatArray, checked_scores
from loradar.evaluation.verdicts import Thresholds

# Penalty on the slope (for scores of unit variance): keeps it finite on separable development
# sets, where it would run away; on overlapping ones it lowers it by one or two per cent at most.
RIDGE = 1e-4
# No fit gives a slope or intercept near this; a file that does is not to be believed.
LARGEST = 1e6


@dataclass(frozen=True)
class Calibration:
    """``llr = slope * score + intercept``, or a curve; natural logarithm, higher: more bona fide.

    Attributes
    ----------
    slope, intercept : float
        The map; the slope is never negative. A slope of 0 means the scores said nothing (or
        ranked the classes the wrong way round) where the map was fitted. With a curve, the
        straight line fitted beside it.
    p_spoof : float
        Prior of the spoof class the fit was weighted for.
    bonafide, spoof : int
        Trials it was fitted on.
    thresholds : Thresholds, optional
        Where verdicts begin; without it, where the evidence reaches 2 to 1.
    curve : Curve, optional
        The map, where a straight line did not do.
    """

    slope: float
    intercept: float
    p_spoof: float
    bonafide: int
    spoof: int
    thresholds: Thresholds | None = None
    curve: Curve | None = None

    def llr(self, scores: ArrayLike) -> FloatArray:
        """Return natural-log likelihood ratios of the same shape as ``scores``."""
        if self.curve is not None:
            return self.curve(scores)
        return self.slope * np.asarray(scores, dtype=np.float64) + self.intercept

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        values = asdict(self)
        for name, part in (("thresholds", self.thresholds), ("curve", self.curve)):
            del values[name]
            if part is not None:
                values[name] = part.to_dict()
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Calibration:
        """Rebuild a calibration.

        Raises
        ------
        CheckpointError
            When a key is missing or unknown, a value is not a finite number, or the slope is
            negative.
        """
        if not isinstance(values, dict):
            raise CheckpointError("calibration: not a mapping of slope, intercept, ...")
        values = dict(values)
        thresholds, curve = values.pop("thresholds", None), values.pop("curve", None)
        expected = {field.name for field in fields(cls)} - {"thresholds", "curve"}
        if set(values) != expected:
            wrong = sorted(set(values) ^ expected)
            raise CheckpointError(f"calibration: missing or unknown keys: {', '.join(wrong)}")
        for name, value in values.items():
            if (
                isinstance(value, bool)
                or not isinstance(value, int | float)
                or not math.isfinite(value)
            ):
                raise CheckpointError(f"calibration: {name} must be a finite number, not {value!r}")
        if not 0 < values["p_spoof"] < 1:
            raise CheckpointError(
                f"calibration: p_spoof must lie in (0, 1), not {values['p_spoof']}"
            )
        if max(abs(values["slope"]), abs(values["intercept"])) > LARGEST:
            raise CheckpointError(f"calibration: slope and intercept must stay below {LARGEST:g}")
        if values["slope"] < 0:
            raise CheckpointError(f"calibration: the slope is negative ({values['slope']})")
        return cls(
            **values,
            thresholds=None if thresholds is None else Thresholds.from_dict(thresholds),
            curve=None if curve is None else Curve.from_dict(curve),
        )


def fit(scores: ArrayLike, is_bonafide: ArrayLike, p_spoof: float = 0.5) -> Calibration:
    """Fit a calibration on development trials.

    Minimises the cross-entropy in which the classes weigh ``1 - p_spoof`` and ``p_spoof`` whatever
    their numbers, plus a small penalty on the slope.

    Parameters
    ----------
    scores : array_like
        Shape ``[N]``.
    is_bonafide : array_like of bool
        Shape ``[N]``.
    p_spoof : float
        Prior of the spoof class.

    Raises
    ------
    InputError
        When a class is missing or a score is not finite.
    ConfigError
        When the prior is not inside (0, 1).
    """
    prior = prior_log_odds(p_spoof)
    values = np.asarray(scores, dtype=np.float64)
    labels = np.asarray(is_bonafide, dtype=bool)
    if values.shape != labels.shape:
        raise InputError(f"{values.size} scores do not fit {labels.size} labels")
    real, fake = values[labels], values[~labels]
    if real.size == 0 or fake.size == 0:
        missing = "bona fide" if real.size == 0 else "spoofed"
        raise InputError(f"cannot calibrate: no {missing} trial among {values.size}; give both")
    real, fake = checked_scores(real, "bona fide"), checked_scores(fake, "spoof")
    centre, spread = float(values.mean()), float(values.std())
    if spread == 0.0:
        return Calibration(0.0, 0.0, p_spoof, real.size, fake.size)
    real, fake = (real - centre) / spread, (fake - centre) / spread

    def loss(parameters: FloatArray) -> tuple[float, FloatArray]:
        slope, intercept = parameters
        odds_real = slope * real + intercept + prior
        odds_fake = slope * fake + intercept + prior
        value = (
            (1 - p_spoof) * np.mean(np.logaddexp(0.0, -odds_real))
            + p_spoof * np.mean(np.logaddexp(0.0, odds_fake))
            + 0.5 * RIDGE * slope**2
        )
        pull_real = -(1 - p_spoof) * expit(-odds_real) / real.size
        pull_fake = p_spoof * expit(odds_fake) / fake.size
        gradient = np.array(
            [
                pull_real @ real + pull_fake @ fake + RIDGE * slope,
                pull_real.sum() + pull_fake.sum(),
            ]
        )
        return float(value), gradient

    found = minimize(
        loss,
        np.array([1.0, 0.0]),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0.0, None), (None, None)],
        options={"ftol": 1e-15, "gtol": 1e-10, "maxiter": 1000},
    )
    slope = float(found.x[0]) / spread
    intercept = float(found.x[1]) - slope * centre
    return Calibration(slope, intercept, p_spoof, real.size, fake.size)


def prior_log_odds(p_spoof: float) -> float:
    """Return log((1 - p_spoof) / p_spoof), the prior log-odds of bona fide.

    Raises
    ------
    ConfigError
        When the prior is not inside (0, 1).
    """
    if not 0 < p_spoof < 1:
        raise ConfigError(f"p_spoof is a prior and must lie inside (0, 1), not {p_spoof}")
    return math.log((1 - p_spoof) / p_spoof)


def posterior(llr: ArrayLike, p_spoof: float = 0.5) -> FloatArray:
    """Return the posterior probability of spoof at the prior ``p_spoof``; same shape as ``llr``.

    Raises
    ------
    ConfigError
        When the prior is not inside (0, 1).
    """
    odds = np.asarray(llr, dtype=np.float64) + prior_log_odds(p_spoof)
    return np.asarray(expit(-odds), dtype=np.float64)
