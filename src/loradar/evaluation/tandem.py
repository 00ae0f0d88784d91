"""Costs of a countermeasure together with a speaker verification (ASV) system.

Three kinds of trials: target (the claimed speaker, bona fide), non-target (another speaker, bona
fide) and spoof. Higher scores mean accept.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from loradar.errors import ConfigError
from loradar.evaluation.det import OperatingPoint, checked_scores, det_curve, eer_point, lowest


@dataclass(frozen=True)
class TandemCosts:
    """Priors of the three kinds of trials and costs of the three errors.

    Raises
    ------
    ConfigError
        When the priors do not sum to one or a number is not positive.
    """

    p_target: float
    p_nontarget: float
    p_spoof: float
    c_miss: float
    c_fa: float
    c_fa_spoof: float

    def __post_init__(self) -> None:
        total = self.p_target + self.p_nontarget + self.p_spoof
        if abs(total - 1) > 1e-9:
            raise ConfigError(f"the priors of target, non-target and spoof sum to {total}, not 1")
        if min(vars(self).values()) <= 0:
            raise ConfigError("priors and costs of a tandem system must be positive")


A_DCF_DEFAULT = TandemCosts(0.9, 0.05, 0.05, c_miss=1, c_fa=10, c_fa_spoof=20)
"""Costs of the a-DCF paper (Shim et al., 2024)."""

ASVSPOOF5 = TandemCosts(0.9405, 0.0095, 0.05, c_miss=1, c_fa=10, c_fa_spoof=10)
"""Costs of ASVspoof 2019, 2021 and ASVspoof 5."""


@dataclass(frozen=True)
class AsvErrors:
    """Error rates of the ASV system at its threshold, as fractions."""

    p_miss: float
    p_fa: float
    p_fa_spoof: float

    @classmethod
    def at_eer(cls, target: ArrayLike, nontarget: ArrayLike, spoof: ArrayLike) -> AsvErrors:
        """Measure the rates at the threshold where target and non-target errors are equal.

        Raises
        ------
        InputError
            When a kind of trial is missing or a score is not finite.
        """
        threshold = eer_point(target, nontarget).threshold
        return cls(
            p_miss=float(np.mean(checked_scores(target, "target") < threshold)),
            p_fa=float(np.mean(checked_scores(nontarget, "non-target") >= threshold)),
            p_fa_spoof=float(np.mean(checked_scores(spoof, "spoof") >= threshold)),
        )


ASVSPOOF5_ASV = AsvErrors(
    p_miss=0.01880141010575793, p_fa=0.01881016557566423, p_fa_spoof=0.4607082907604729
)
"""The fixed ASV system of the ASVspoof 5 evaluation package."""


def min_a_dcf(
    target: ArrayLike, nontarget: ArrayLike, spoof: ArrayLike, costs: TandemCosts = A_DCF_DEFAULT
) -> OperatingPoint:
    """Compute the minimum architecture-agnostic detection cost of one score per trial.

    Shim et al., "a-DCF: an architecture agnostic metric with application to spoofing-robust
    speaker verification", 2024, equation 1, normalised by the better constant decision.

    Raises
    ------
    InputError
        When a kind of trial is missing or a score is not finite.
    """
    scores = [
        checked_scores(target, "target"),
        checked_scores(nontarget, "non-target"),
        checked_scores(spoof, "spoof"),
    ]
    merged = np.concatenate(scores)
    order = np.argsort(merged, kind="stable")
    kind = np.repeat(np.arange(3), [part.size for part in scores])[order]
    rejected = [
        np.concatenate(([0.0], np.cumsum(kind == index) / part.size))
        for index, part in enumerate(scores)
    ]
    cost = (
        costs.c_miss * costs.p_target * rejected[0]
        + costs.c_fa * costs.p_nontarget * (1 - rejected[1])
        + costs.c_fa_spoof * costs.p_spoof * (1 - rejected[2])
    )
    accept_all = costs.c_fa * costs.p_nontarget + costs.c_fa_spoof * costs.p_spoof
    thresholds = np.concatenate(([merged[order[0]] - 0.001], merged[order]))
    index = lowest(cost)
    value = float(cost[index]) / min(costs.c_miss * costs.p_target, accept_all)
    return OperatingPoint(value, float(thresholds[index]))


def min_t_dcf(
    bonafide: ArrayLike,
    spoof: ArrayLike,
    asv: AsvErrors = ASVSPOOF5_ASV,
    costs: TandemCosts = ASVSPOOF5,
) -> OperatingPoint:
    """Compute the minimum normalised tandem cost of a countermeasure before a fixed ASV system.

    Kinnunen et al., "Tandem assessment of spoofing countermeasures and automatic speaker
    verification: fundamentals", 2020, the form used since ASVspoof 2021.

    Parameters
    ----------
    bonafide, spoof : array_like
        Countermeasure scores, shapes ``[Nb]`` (targets and non-targets) and ``[Ns]``.
    asv : AsvErrors
        Rates of the ASV system.
    costs : TandemCosts
        Priors and costs.

    Raises
    ------
    InputError
        When a class is empty or a score is not finite.
    ConfigError
        When the ASV system is so poor that no countermeasure could help.
    """
    # c0: cost of ASV errors alone; c1: of bona fide trials the countermeasure rejects; c2: of
    # spoofed trials that pass both.
    c0 = costs.p_target * costs.c_miss * asv.p_miss + costs.p_nontarget * costs.c_fa * asv.p_fa
    c1 = costs.p_target * costs.c_miss - c0
    c2 = costs.p_spoof * costs.c_fa_spoof * asv.p_fa_spoof
    return _min_linear_cost(bonafide, spoof, c0, c1, c2, scale=c0 + min(c1, c2))


def min_t_dcf_2019(
    bonafide: ArrayLike,
    spoof: ArrayLike,
    asv: AsvErrors = ASVSPOOF5_ASV,
    costs: TandemCosts = ASVSPOOF5,
) -> OperatingPoint:
    """Compute the minimum tandem cost in the form of ASVspoof 2019, without the ASV floor.

    Kinnunen et al., "t-DCF: a detection cost function for the tandem assessment of spoofing
    countermeasures and automatic speaker verification", 2018. Parameters and errors as in
    `min_t_dcf`.
    """
    c1 = costs.p_target * costs.c_miss * (1 - asv.p_miss) - (
        costs.p_nontarget * costs.c_fa * asv.p_fa
    )
    c2 = costs.p_spoof * costs.c_fa_spoof * asv.p_fa_spoof
    return _min_linear_cost(bonafide, spoof, 0.0, c1, c2, scale=min(c1, c2))


def _min_linear_cost(
    bonafide: ArrayLike, spoof: ArrayLike, c0: float, c1: float, c2: float, *, scale: float
) -> OperatingPoint:
    """Minimise (c0 + c1 FRR + c2 FAR) / scale over thresholds."""
    if c1 <= 0 or c2 <= 0:
        raise ConfigError(
            "the ASV error rates leave a countermeasure nothing to gain (a t-DCF weight is not "
            "positive): check the ASV threshold"
        )
    curve = det_curve(bonafide, spoof)
    cost = c0 + c1 * curve.frr + c2 * curve.far
    index = lowest(cost)
    return OperatingPoint(float(cost[index]) / scale, float(curve.thresholds[index]))
