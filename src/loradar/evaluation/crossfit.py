"""Calibration judged on trials it was not fitted on: both halves in turn, or another corpus."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from loradar.evaluation.det import BoolArray, FloatArray, checked_scores
from loradar.evaluation.fitting import METHODS, fit_by
from loradar.evaluation.isotonic import min_cllr
from loradar.evaluation.metrics import (
    C_FA,
    C_MISS,
    P_SPOOF,
    act_dcf,
    bayes_threshold,
    cllr,
    min_dcf,
)


class Costs(NamedTuple):
    """What errors cost: prior of the spoof class, cost of a rejection and of an acceptance."""

    p_spoof: float = P_SPOOF
    c_miss: float = C_MISS
    c_fa: float = C_FA


DEFAULT_COSTS = Costs()


def cross_fitted(
    method: str, scores: ArrayLike, is_bonafide: ArrayLike, first: BoolArray, p_spoof: float = 0.5
) -> FloatArray:
    """Calibrate each half by what was fitted on the other.

    Parameters
    ----------
    method : str
        See `fitting.fit_by`.
    scores, is_bonafide : array_like
        Shape ``[N]``.
    first : ndarray of bool
        Shape ``[N]``, see `fitting.split_halves`.
    p_spoof : float
        Prior the fits are weighted for.

    Returns
    -------
    ndarray
        Log-likelihood ratios, ``[N]``.

    Raises
    ------
    InputError
        When a half lacks a class or a score is not finite.
    ConfigError
        When there is no such method, or the prior is not inside (0, 1).
    """
    values, real = np.asarray(scores, dtype=np.float64), np.asarray(is_bonafide, dtype=bool)
    llr = np.empty(values.shape)
    for part in (first, ~first):
        llr[~part] = fit_by(method, values[part], real[part], p_spoof).llr(values[~part])
    return llr


def judge(llr: ArrayLike, scores: ArrayLike, is_bonafide: ArrayLike) -> dict[str, float]:
    """Compare what LLRs cost with the least that the scores they come from could cost.

    Returns
    -------
    dict
        ``act_dcf`` and ``cllr`` of the LLRs; ``act_dcf_ratio`` and ``cllr_ratio``: to the scores'
        minDCF and min-Cllr (1 is perfect calibration; infinite where the least is 0).
    """
    real = np.asarray(is_bonafide, dtype=bool)
    ratios, values = np.asarray(llr, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    costs = {
        "act_dcf": (act_dcf(ratios[real], ratios[~real]), min_dcf(values[real], values[~real])),
        "cllr": (cllr(ratios[real], ratios[~real]), min_cllr(values[real], values[~real])),
    }
    found = {name: actual for name, (actual, _) in costs.items()}
    for name, (actual, least) in costs.items():
        found[f"{name}_ratio"] = actual / least if least > 0 else float("inf")
    return found


def compare_methods(
    scores: ArrayLike,
    is_bonafide: ArrayLike,
    first: BoolArray,
    *,
    methods: Sequence[str] = METHODS,
    p_spoof: float = 0.5,
) -> dict[str, Any]:
    """Judge calibration methods side by side, cross-validated by halves.

    Parameters
    ----------
    scores, is_bonafide, first, p_spoof
        See `cross_fitted`.
    methods : sequence of str
        See `fitting.fit_by`.

    Returns
    -------
    dict
        ``min_dcf``, ``min_cllr``; ``raw``: `judge` of the scores taken as they are; ``methods``:
        name -> `judge` of the cross-fitted LLRs.
    """
    values, real = np.asarray(scores, dtype=np.float64), np.asarray(is_bonafide, dtype=bool)
    return {
        "min_dcf": min_dcf(values[real], values[~real]),
        "min_cllr": min_cllr(values[real], values[~real]),
        "raw": judge(values, values, real),
        "methods": {
            name: judge(cross_fitted(name, values, real, first, p_spoof), values, real)
            for name in methods
        },
    }


def operating_point(
    llr: ArrayLike, is_bonafide: ArrayLike, costs: Costs = DEFAULT_COSTS
) -> dict[str, float]:
    """Say where to decide at a stated prior and costs, and what comes of it.

    Parameters
    ----------
    llr : array_like
        Calibrated log-likelihood ratios, shape ``[N]``.
    is_bonafide : array_like of bool
        Shape ``[N]``.
    costs : Costs
        Prior and costs.

    Returns
    -------
    dict
        ``p_spoof``, ``c_miss``, ``c_fa``; ``threshold``: accept at or above this LLR; ``miss``
        and ``false_accept``: shares of bona fide trials rejected and of spoofed ones accepted;
        ``act_dcf`` and ``min_dcf``.

    Raises
    ------
    InputError
        When a class is empty or a value is not finite.
    ConfigError
        When the prior or a cost makes no sense.
    """
    threshold = bayes_threshold(*costs)
    ratios, labels = np.asarray(llr, dtype=np.float64), np.asarray(is_bonafide, dtype=bool)
    real = checked_scores(ratios[labels], "bona fide")
    fake = checked_scores(ratios[~labels], "spoof")
    return {
        **costs._asdict(),
        "threshold": threshold,
        "miss": float(np.mean(real < threshold)),
        "false_accept": float(np.mean(fake >= threshold)),
        "act_dcf": act_dcf(real, fake, **costs._asdict()),
        "min_dcf": min_dcf(real, fake, **costs._asdict()),
    }
