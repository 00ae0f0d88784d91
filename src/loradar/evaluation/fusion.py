"""Fusion of several systems' scores into one log-likelihood ratio, by logistic regression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from scipy.special import expit

from loradar.errors import CheckpointError, InputError
from loradar.evaluation.calibration import RIDGE, prior_log_odds
from loradar.evaluation.det import BoolArray, FloatArray, checked_scores


@dataclass(frozen=True)
class Fusion:
    """``llr = weights . scores + intercept``, natural logarithm, higher is more bona fide.

    Attributes
    ----------
    systems : tuple of str
        Names, in the order of the scores.
    weights : tuple of float
        One a system, never negative: a system that only harms gets 0.
    intercept : float
    p_spoof : float
        Prior of the spoof class the fit was weighted for.
    bonafide, spoof : int
        Trials it was fitted on.
    """

    systems: tuple[str, ...]
    weights: tuple[float, ...]
    intercept: float
    p_spoof: float
    bonafide: int
    spoof: int

    def llr(self, scores: ArrayLike) -> FloatArray:
        """Return log-likelihood ratios ``[N]`` of scores ``[N, systems]``."""
        table = np.asarray(scores, dtype=np.float64)
        return np.asarray(table @ np.asarray(self.weights) + self.intercept, dtype=np.float64)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        values = asdict(self)
        return values | {name: list(values[name]) for name in ("systems", "weights")}

    @classmethod
    def from_dict(cls, values: Any) -> Fusion:
        """Rebuild a fusion.

        Raises
        ------
        CheckpointError
            When a key is missing or unknown, or a value makes no sense.
        """
        names = {field.name for field in fields(cls)}
        if not isinstance(values, dict) or set(values) != names:
            raise CheckpointError(f"fusion: not a mapping of {', '.join(sorted(names))}")
        try:
            weights = tuple(float(weight) for weight in values["weights"])
            systems = tuple(str(system) for system in values["systems"])
            intercept, p_spoof = float(values["intercept"]), float(values["p_spoof"])
            counts = int(values["bonafide"]), int(values["spoof"])
        except (TypeError, ValueError) as error:
            raise CheckpointError(f"fusion: {error}") from None
        finite = np.isfinite([*weights, intercept]).all()
        if not finite or min(weights, default=-1) < 0 or len(weights) != len(systems):
            raise CheckpointError(
                "fusion: needs one finite weight a system, none negative, and a finite intercept"
            )
        return cls(systems, weights, intercept, p_spoof, *counts)


def fit_fusion(
    scores: ArrayLike, is_bonafide: ArrayLike, systems: Sequence[str], p_spoof: float = 0.5
) -> Fusion:
    """Fit the weights of several systems.

    Minimises the cross-entropy in which the classes weigh ``1 - p_spoof`` and ``p_spoof`` whatever
    their numbers, plus a small penalty on the weights of standardised scores (Brummer and
    de Villiers, "The BOSARIS toolkit", 2013, without negative weights).

    Parameters
    ----------
    scores : array_like
        Shape ``[N, systems]``.
    is_bonafide : array_like of bool
        Shape ``[N]``.
    systems : sequence of str
        Names.
    p_spoof : float
        Prior of the spoof class.

    Raises
    ------
    InputError
        When a class is missing, a score is not finite, or the shapes do not fit.
    ConfigError
        When the prior is not inside (0, 1).
    """
    prior = prior_log_odds(p_spoof)
    table, real = np.asarray(scores, dtype=np.float64), np.asarray(is_bonafide, dtype=bool)
    if table.ndim != 2 or table.shape != (real.size, len(systems)):
        raise InputError(
            f"scores of shape {table.shape} do not fit {real.size} labels, {len(systems)} systems"
        )
    for name, column in zip(systems, table.T, strict=True):
        checked_scores(column[real], f"bona fide {name}")
        checked_scores(column[~real], f"spoof {name}")
    centre, spread = table.mean(axis=0), table.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    standard = (table - centre) / spread
    counts = int(real.sum()), int((~real).sum())
    sign = np.where(real, 1.0, -1.0)
    weight = np.where(real, (1 - p_spoof) / counts[0], p_spoof / counts[1])

    def loss(parameters: FloatArray) -> tuple[float, FloatArray]:
        slopes, intercept = parameters[:-1], parameters[-1]
        odds = standard @ slopes + intercept + prior
        value = weight @ np.logaddexp(0.0, -sign * odds) + 0.5 * RIDGE * slopes @ slopes
        pull = -weight * sign * expit(-sign * odds)
        return float(value), np.append(standard.T @ pull + RIDGE * slopes, pull.sum())

    found = minimize(
        loss,
        np.append(np.full(len(systems), 1 / len(systems)), 0.0),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0.0, None)] * len(systems) + [(None, None)],
        options={"ftol": 1e-15, "gtol": 1e-10, "maxiter": 1000},
    )
    weights = found.x[:-1] / spread
    return Fusion(
        tuple(systems),
        tuple(weights.tolist()),
        float(found.x[-1] - weights @ centre),
        p_spoof,
        *counts,
    )


def cross_fused(
    scores: ArrayLike,
    is_bonafide: ArrayLike,
    systems: Sequence[str],
    first: BoolArray,
    p_spoof: float = 0.5,
) -> FloatArray:
    """Fuse each half by weights fitted on the other; returns LLRs ``[N]``.

    Parameters and errors as in `fit_fusion`; ``first`` as `fitting.split_halves` gives it.
    """
    table, real = np.asarray(scores, dtype=np.float64), np.asarray(is_bonafide, dtype=bool)
    llr = np.empty(real.size)
    for part in (first, ~first):
        llr[~part] = fit_fusion(table[part], real[part], systems, p_spoof).llr(table[~part])
    return llr
