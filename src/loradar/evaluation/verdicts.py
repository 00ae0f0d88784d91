"""Where to stop saying UNCERTAIN: thresholds that keep given verdicts right often enough."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from loradar.errors import CheckpointError, ConfigError, InputError
from loradar.evaluation.det import BoolArray, FloatArray, checked_scores


@dataclass(frozen=True)
class Thresholds:
    """Log-likelihood ratios (natural, bona fide over spoof) beyond which a verdict is given.

    Attributes
    ----------
    bonafide : float
        BONAFIDE at or above, at equal priors; infinite when the scores never allow it.
    spoof : float
        SPOOF at or below, at equal priors; minus infinite likewise. Never above ``bonafide``.
    right : float
        Share of given verdicts that were to be right, at equal priors, where they were fitted.
    """

    bonafide: float
    spoof: float
    right: float

    def to_dict(self) -> dict[str, float | None]:
        """Return plain numbers for JSON; None where a verdict is never given."""
        return {k: v if math.isfinite(v) else None for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Any) -> Thresholds:
        """Rebuild thresholds.

        Raises
        ------
        CheckpointError
            When a key is missing or unknown, or a value makes no sense.
        """
        if not isinstance(values, dict) or set(values) != {"bonafide", "spoof", "right"}:
            raise CheckpointError("thresholds: not a mapping of bonafide, spoof and right")
        numbers: dict[str, float] = {}
        for name, value in values.items():
            if value is None and name != "right":
                numbers[name] = math.inf if name == "bonafide" else -math.inf
            elif isinstance(value, int | float) and not isinstance(value, bool):
                numbers[name] = float(value)
            else:
                raise CheckpointError(f"thresholds: {name} must be a number, not {value!r}")
        # Written so that NaN fails too.
        if not numbers["spoof"] <= numbers["bonafide"] or not 0.5 <= numbers["right"] < 1:
            raise CheckpointError(
                "thresholds: spoof must not exceed bonafide, right be in [0.5, 1)"
            )
        return cls(**numbers)


def fit_thresholds(llr: ArrayLike, is_bonafide: ArrayLike, right: float = 0.9) -> Thresholds:
    """Choose the widest verdicts of which ``right`` are right at equal priors.

    At equal priors the share of BONAFIDE verdicts that are right is h / (h + f), with h and f the
    shares of bona fide and spoofed clips at or above the threshold; mirrored for SPOOF. One
    wrong clip is added to the wrong side's count (of n + 1), so that a threshold beyond the last
    wrong clip is not taken for perfect; and a verdict is never given at all when it would not be
    given to twenty clips of its own class, or to a fifth of it.

    Parameters
    ----------
    llr : array_like
        Shape ``[N]``, natural-log likelihood ratios.
    is_bonafide : array_like of bool
        Shape ``[N]``.
    right : float
        In [0.5, 1).

    Raises
    ------
    InputError
        When a class is missing or a value is not finite.
    ConfigError
        When ``right`` is out of range.
    """
    if not 0.5 <= right < 1:
        raise ConfigError(f"right is a share of verdicts in [0.5, 1), not {right}")
    real, fake = _classes(llr, is_bonafide)
    upper = _least(real, fake, right)
    lower = -_least(-fake, -real, right)
    if lower > upper:
        # Both would answer in between, so the evidence there is good enough: split it at even odds.
        upper = lower = min(max(0.0, upper), lower)
    return Thresholds(upper, lower, right)


def _least(wanted: FloatArray, others: FloatArray, right: float) -> float:
    """Return the least threshold at which enough verdicts are right, infinity if there is none."""
    steps = np.sort(wanted)[::-1]
    hits = np.arange(1, steps.size + 1) / steps.size
    errors = others.size - np.searchsorted(np.sort(others), steps, side="left")
    enough = hits / (hits + (errors + 1) / (others.size + 1)) >= right
    enough[: min(20, math.ceil(0.2 * steps.size)) - 1] = False  # too few clips to tell
    return float(steps[np.flatnonzero(enough)[-1]]) if enough.any() else math.inf


def check_verdicts(
    llr: ArrayLike, is_bonafide: ArrayLike, thresholds: Thresholds
) -> dict[str, dict[str, float | int | None]]:
    """Report how often verdicts are given and right, on clips the thresholds were not fitted on.

    Parameters
    ----------
    llr, is_bonafide : array_like
        Shape ``[N]``; see `fit_thresholds`.
    thresholds : Thresholds
        What to check.

    Returns
    -------
    dict
        ``bonafide`` and ``spoof``: ``{"given": clips, "right": share at equal priors, "low": its
        lower 95 % bound}`` (None where none was given); ``uncertain``: ``{"share": of all clips,
        at equal priors}``. The bound takes each class's share as binomial (one-sided Wilson limits
        of 2.5 %, the right class's low and the wrong class's high), so it is on the safe side.

    Raises
    ------
    InputError
        When a class is missing or a value is not finite.
    """
    real, fake = _classes(llr, is_bonafide)
    says_real = (real >= thresholds.bonafide, fake >= thresholds.bonafide)
    says_fake = (fake <= thresholds.spoof, real <= thresholds.spoof)
    # Where the two meet, the answer is BONAFIDE.
    says_fake = (says_fake[0] & ~says_real[1], says_fake[1] & ~says_real[0])
    answered = (np.mean(says_real[0] | says_fake[1]) + np.mean(says_real[1] | says_fake[0])) / 2
    return {
        "bonafide": _rightness(*says_real),
        "spoof": _rightness(*says_fake),
        "uncertain": {"share": float(1 - answered)},
    }


def _rightness(good: BoolArray, bad: BoolArray) -> dict[str, float | int | None]:
    given = int(good.sum() + bad.sum())
    if not given:
        return {"given": 0, "right": None, "low": None}
    hit, false = float(good.mean()), float(bad.mean())
    low, high = _wilson(int(good.sum()), good.size)[0], _wilson(int(bad.sum()), bad.size)[1]
    return {"given": given, "right": hit / (hit + false), "low": low / (low + high)}


def _wilson(count: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """Return Wilson's interval (1927) of a binomial share."""
    share = count / total
    centre = share + z * z / (2 * total)
    half = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    scale = 1 + z * z / total
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)


def _classes(llr: ArrayLike, is_bonafide: ArrayLike) -> tuple[FloatArray, FloatArray]:
    values = np.asarray(llr, dtype=np.float64)
    labels = np.asarray(is_bonafide, dtype=bool)
    if values.shape != labels.shape:
        raise InputError(f"{values.size} scores do not fit {labels.size} labels")
    real, fake = values[labels], values[~labels]
    if real.size == 0 or fake.size == 0:
        missing = "bona fide" if real.size == 0 else "spoofed"
        raise InputError(f"no {missing} trial among {values.size}: verdicts need both")
    return checked_scores(real, "bona fide"), checked_scores(fake, "spoof")
