"""Costs and ranking measures of a countermeasure, from bona fide and spoof scores.

Higher scores mean more bona fide. ``p_spoof`` is the prior of the spoof class, ``c_miss`` the cost
of rejecting a bona fide trial, ``c_fa`` that of accepting a spoofed one; the defaults are those of
ASVspoof 5 (Wang et al., "ASVspoof 5: crowdsourced speech data, deepfakes, and adversarial attacks
at scale", 2024). Costs are normalised by that of the better constant decision.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from loradar.errors import ConfigError
from loradar.evaluation.det import OperatingPoint, checked_scores, det_curve, lowest

P_SPOOF = 0.05
C_MISS = 1.0
C_FA = 10.0


def min_dcf_point(
    bonafide: ArrayLike,
    spoof: ArrayLike,
    *,
    p_spoof: float = P_SPOOF,
    c_miss: float = C_MISS,
    c_fa: float = C_FA,
) -> OperatingPoint:
    """Compute the normalised detection cost at its best threshold, and that threshold.

    Raises
    ------
    InputError
        When a class is empty or a score is not finite.
    ConfigError
        When the prior is not inside (0, 1) or a cost is not positive.
    """
    miss_cost, accept_cost = _weights(p_spoof, c_miss, c_fa)
    curve = det_curve(bonafide, spoof)
    cost = miss_cost * curve.frr + accept_cost * curve.far
    index = lowest(cost)
    value = float(cost[index]) / min(miss_cost, accept_cost)
    return OperatingPoint(value, float(curve.thresholds[index]))


def min_dcf(
    bonafide: ArrayLike,
    spoof: ArrayLike,
    *,
    p_spoof: float = P_SPOOF,
    c_miss: float = C_MISS,
    c_fa: float = C_FA,
) -> float:
    """Compute the normalised detection cost at its best threshold; see `min_dcf_point`."""
    return min_dcf_point(bonafide, spoof, p_spoof=p_spoof, c_miss=c_miss, c_fa=c_fa).value


def bayes_threshold(p_spoof: float = P_SPOOF, c_miss: float = C_MISS, c_fa: float = C_FA) -> float:
    """Return the log-likelihood ratio at which both decisions cost the same.

    Raises
    ------
    ConfigError
        When the prior is not inside (0, 1) or a cost is not positive.
    """
    miss_cost, accept_cost = _weights(p_spoof, c_miss, c_fa)
    return math.log(accept_cost / miss_cost)


def act_dcf(
    bonafide_llr: ArrayLike,
    spoof_llr: ArrayLike,
    *,
    p_spoof: float = P_SPOOF,
    c_miss: float = C_MISS,
    c_fa: float = C_FA,
) -> float:
    """Compute the normalised detection cost at the Bayes threshold.

    The scores are taken for natural-log likelihood ratios; uncalibrated ones are punished.

    Raises
    ------
    InputError
        When a class is empty or a score is not finite.
    ConfigError
        When the prior is not inside (0, 1) or a cost is not positive.
    """
    miss_cost, accept_cost = _weights(p_spoof, c_miss, c_fa)
    threshold = bayes_threshold(p_spoof, c_miss, c_fa)
    miss = float(np.mean(checked_scores(bonafide_llr, "bona fide") < threshold))
    accepted = float(np.mean(checked_scores(spoof_llr, "spoof") >= threshold))
    return (miss_cost * miss + accept_cost * accepted) / min(miss_cost, accept_cost)


def cllr(bonafide_llr: ArrayLike, spoof_llr: ArrayLike) -> float:
    """Compute the cost of log-likelihood ratios, in bits.

    Brummer and du Preez, "Application-independent evaluation of speaker detection", 2006. 0 is
    perfect, 1 is what a system that always says "llr = 0" gets, and more is worse than saying
    nothing.

    Raises
    ------
    InputError
        When a class is empty or a score is not finite.
    """
    real = checked_scores(bonafide_llr, "bona fide")
    fake = checked_scores(spoof_llr, "spoof")
    nats = np.mean(np.logaddexp(0.0, -real)) + np.mean(np.logaddexp(0.0, fake))
    return float(nats) / (2 * math.log(2))


def auc(bonafide: ArrayLike, spoof: ArrayLike) -> float:
    """Compute the chance that a bona fide trial outscores a spoofed one; a tie counts half.

    Raises
    ------
    InputError
        When a class is empty or a score is not finite.
    """
    real = checked_scores(bonafide, "bona fide")
    fake = checked_scores(spoof, "spoof")
    below = np.sort(fake)
    twice = sum(int(np.searchsorted(below, real, side).sum()) for side in ("left", "right"))
    return twice / (2 * real.size * fake.size)


def cross_entropy(bonafide: ArrayLike, spoof: ArrayLike) -> float:
    """Return the cross-entropy (nats) of scores as log-odds, the mean of both classes' means.

    Scores of 0 get log 2 = 0.693; an error costs more the surer it was, which no EER shows.

    Raises
    ------
    InputError
        When a class is empty or a score is not finite.
    """
    real, fake = checked_scores(bonafide, "bona fide"), checked_scores(spoof, "spoof")
    return float((np.logaddexp(0, -real).mean() + np.logaddexp(0, fake).mean()) / 2)


class WithinGroupAuc(NamedTuple):
    """AUC inside groups: the average, and what each group that holds both classes gave.

    ``value`` is None when no group holds both classes.
    """

    value: float | None
    groups: dict[str, float]
    spoof: int


def within_group_auc(
    scores: ArrayLike, is_bonafide: ArrayLike, groups: ArrayLike
) -> WithinGroupAuc:
    """Compare bona fide and spoofed trials of the same group (corpus) only, and average.

    A score that merely knows the group gets 0.5. Groups lacking a class are left out. The average
    weighs each group by its number of spoofed trials, so that it reads: the chance that a spoofed
    trial drawn at random scores below a bona fide trial drawn from its own group. (One vote a
    group would let a group of two clips decide; one vote a pair would let the largest corpus.)

    Parameters
    ----------
    scores, is_bonafide, groups : array_like
        Shapes ``[N]``; trials whose group is missing are left out.

    Raises
    ------
    InputError
        When lengths differ or a score that is used is not finite.
    """
    frame = pd.DataFrame(
        {
            "score": np.asarray(scores, dtype=np.float64),
            "real": np.asarray(is_bonafide, dtype=bool),
            "group": pd.Series(np.asarray(groups, dtype=object)),
        }
    )
    found: dict[str, float] = {}
    total = 0.0
    spoofed = 0
    for name, part in frame.groupby("group"):
        real = part.loc[part["real"], "score"].to_numpy()
        fake = part.loc[~part["real"], "score"].to_numpy()
        if real.size == 0 or fake.size == 0:
            continue
        found[str(name)] = auc(real, fake)
        total += found[str(name)] * fake.size
        spoofed += fake.size
    return WithinGroupAuc(total / spoofed if spoofed else None, found, spoofed)


def _weights(p_spoof: float, c_miss: float, c_fa: float) -> tuple[float, float]:
    """Return the prior-weighted costs of a miss and of a false acceptance."""
    if not 0 < p_spoof < 1:
        raise ConfigError(f"p_spoof is a prior and must lie inside (0, 1), not {p_spoof}")
    if not (c_miss > 0 and c_fa > 0):
        raise ConfigError(f"costs must be positive, not c_miss={c_miss}, c_fa={c_fa}")
    return c_miss * (1 - p_spoof), c_fa * p_spoof
