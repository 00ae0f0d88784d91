"""A rising curve from scores to log-likelihood ratios, as a table that straight lines join."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from loradar.errors import CheckpointError
from loradar.evaluation.det import FloatArray

CurveMethod = Literal["isotonic", "spline"]
MOST_POINTS = 100_000


@dataclass(frozen=True)
class Curve:
    """A map that never falls; outside the scores it was fitted on it stays at its ends.

    Attributes
    ----------
    method : {"isotonic", "spline"}
        How it was fitted.
    scores : tuple of float
        Strictly rising, two or more.
    llrs : tuple of float
        Natural-log likelihood ratio at each score; never falling.
    """

    method: CurveMethod
    scores: tuple[float, ...]
    llrs: tuple[float, ...]

    def __call__(self, scores: ArrayLike) -> FloatArray:
        """Return log-likelihood ratios of the same shape as ``scores``."""
        values = np.asarray(scores, dtype=np.float64)
        return np.asarray(np.interp(values, self.scores, self.llrs), dtype=np.float64)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"method": self.method, "scores": list(self.scores), "llrs": list(self.llrs)}

    @classmethod
    def from_dict(cls, values: Any) -> Curve:
        """Rebuild a curve.

        Raises
        ------
        CheckpointError
            When a key is missing or unknown, or the numbers are no rising curve.
        """
        if not isinstance(values, dict) or set(values) != {"method", "scores", "llrs"}:
            raise CheckpointError("calibration curve: not a mapping of method, scores and llrs")
        if values["method"] not in get_args(CurveMethod):
            raise CheckpointError(
                f"calibration curve: the method {values['method']!r} is not known "
                f"(there are: {', '.join(get_args(CurveMethod))})"
            )
        columns = [_numbers(values[name], name) for name in ("scores", "llrs")]
        scores, llrs = columns
        if not 2 <= len(scores) == len(llrs) <= MOST_POINTS:
            raise CheckpointError(
                f"calibration curve: {len(scores)} scores and {len(llrs)} llrs; there must be "
                f"equally many, from 2 to {MOST_POINTS}"
            )
        if (np.diff(scores) <= 0).any() or (np.diff(llrs) < 0).any():
            raise CheckpointError("calibration curve: the scores must rise and the llrs not fall")
        return cls(values["method"], scores, llrs)


def _numbers(values: Any, name: str) -> tuple[float, ...]:
    if not isinstance(values, list) or not all(
        isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        for value in values
    ):
        raise CheckpointError(f"calibration curve: {name} must be a list of finite numbers")
    return tuple(float(value) for value in values)
