"""Calibration and thresholds fitted on one half of held-back clips and checked on the other."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from loradar.errors import ConfigError, InputError
from loradar.evaluation.calibration import Calibration, fit
from loradar.evaluation.det import BoolArray, FloatArray
from loradar.evaluation.isotonic import fit_isotonic
from loradar.evaluation.metrics import cllr
from loradar.evaluation.spline import fit_spline
from loradar.evaluation.verdicts import check_verdicts, fit_thresholds

Method = Literal["logistic", "isotonic", "spline"]
METHODS: tuple[Method, ...] = ("logistic", "isotonic", "spline")


def fit_by(
    method: str, scores: ArrayLike, is_bonafide: ArrayLike, p_spoof: float = 0.5
) -> Calibration:
    """Fit a calibration by the method of that name.

    ``logistic`` is a straight line (`calibration.fit`), for few trials; ``isotonic`` pools adjacent
    violators (`isotonic.fit_isotonic`); ``spline`` is smooth and never falls (`spline.fit_spline`).
    Scores that are all equal say nothing whatever the method: their LLR is 0.

    Raises
    ------
    InputError
        When a class is missing or a score is not finite.
    ConfigError
        When there is no such method, or the prior is not inside (0, 1).
    """
    if method not in METHODS:
        raise ConfigError(f"no calibration method {method!r} (there are: {', '.join(METHODS)})")
    line = fit(scores, is_bonafide, p_spoof)
    values, real = np.asarray(scores, dtype=np.float64), np.asarray(is_bonafide, dtype=bool)
    if method == "logistic" or values.min() == values.max():
        return line
    if method == "isotonic":
        return replace(line, curve=fit_isotonic(values[real], values[~real]))
    return replace(line, curve=fit_spline(values[real], values[~real], p_spoof))


def halves(names: pd.Series) -> BoolArray:
    """Assign each distinct name to one of two halves.

    Names are ordered by their SHA-256 and take turns, so that the halves hold equally many names
    and depend on nothing but the names.

    Parameters
    ----------
    names : Series of str
        Shape ``[N]``, for instance speakers.

    Returns
    -------
    ndarray of bool
        Shape ``[N]``: True in the half to fit on.
    """
    order = sorted(set(names), key=lambda name: hashlib.sha256(str(name).encode()).digest())
    return names.isin(order[::2]).to_numpy()


def split_halves(trials: pd.DataFrame, by: str | None = None) -> BoolArray:
    """Split labelled trials into two halves that share no name.

    Bona fide and spoofed names are halved apart, so that both halves hold both classes; a clip
    without a name counts alone, by its path.

    Parameters
    ----------
    trials : DataFrame
        ``label``, ``path`` and the column ``by``.
    by : str, optional
        What the halves may not share, for instance ``speaker``; by default each clip counts alone.

    Returns
    -------
    ndarray of bool
        Shape ``[N]``: True in the half to fit on.

    Raises
    ------
    InputError
        A column is missing, or a half lacks a class.
    """
    for name in ("label", "path", *([by] if by else [])):
        if name not in trials:
            raise InputError(f"the trials have no column '{name}'")
    real = (trials["label"] == "bonafide").to_numpy()
    paths = trials["path"].astype(str)
    names = trials[by].fillna("").astype(str) if by else paths
    names = names.where(names != "", paths)
    # A speaker with clips of both classes stays on one side: his spoofs follow his own voice.
    spoken = names[real]
    mine = pd.Series(halves(spoken), index=spoken.index).groupby(spoken).first()
    alone = names[~names.isin(mine.index)]
    others = pd.Series(halves(alone), index=alone.index).groupby(alone).first()
    first = names.map(pd.concat([mine, others])).to_numpy(bool)
    for rows, what in ((first, "fit"), (~first, "check")):
        if len(set(real[rows].tolist())) < 2:
            raise InputError(
                f"the half to {what} on lacks a class: give more clips, of more than one "
                f"{by or 'clip'} a class"
            )
    return first


def labelled(trials: pd.DataFrame) -> pd.DataFrame:
    """Return the trials with a label and a score.

    Raises
    ------
    InputError
        A column is missing.
    """
    for name in ("score", "label"):
        if name not in trials:
            raise InputError(f"the trials have no column '{name}'")
    return trials[trials["label"].isin(["bonafide", "spoof"]) & trials["score"].notna()]


def fit_and_check(
    trials: pd.DataFrame,
    *,
    by: str = "speaker",
    right: float = 0.9,
    method: str = "logistic",
    check: pd.DataFrame | None = None,
) -> tuple[Calibration, dict[str, Any]]:
    """Fit score -> LLR and verdict thresholds on half of the trials, and check them on the rest.

    Parameters
    ----------
    trials : DataFrame
        ``score``, ``label``, ``path`` and the column ``by``. Rows without label or score are left
        out.
    by : str
        What the halves may not share; see `split_halves`.
    right : float
        Share of given verdicts that are to be right at equal priors.
    method : {"logistic", "isotonic", "spline"}
        See `fit_by`.
    check : DataFrame, optional
        Check on these trials instead, and fit on all of ``trials``.

    Returns
    -------
    calibration : Calibration
        With thresholds.
    report : dict
        ``fitted`` and ``checked``: ``{"bonafide", "spoof"}`` clips; ``cllr`` in bits on the
        checked half; ``verdicts``: `verdicts.check_verdicts` of it.

    Raises
    ------
    InputError
        A column is missing, or a half lacks a class.
    ConfigError
        When there is no such method.
    """
    known = labelled(trials)
    if check is None:
        first = split_halves(known, by)
        learnt, checked = known[first], known[~first]
    else:
        learnt, checked = known, labelled(check)
    score, real = _arrays(learnt)
    calibration = fit_by(method, score, real)
    thresholds = fit_thresholds(calibration.llr(score), real, right)
    calibration = replace(calibration, thresholds=thresholds)
    score, truth = _arrays(checked)
    llr = calibration.llr(score)
    report = {
        "fitted": _counts(real),
        "checked": _counts(truth),
        "cllr": cllr(llr[truth], llr[~truth]),
        "verdicts": check_verdicts(llr, truth, thresholds),
    }
    return calibration, report


def _arrays(trials: pd.DataFrame) -> tuple[FloatArray, BoolArray]:
    return (
        trials["score"].to_numpy(np.float64),
        (trials["label"] == "bonafide").to_numpy(dtype=bool),
    )


def _counts(real: BoolArray) -> dict[str, int]:
    return {"bonafide": int(real.sum()), "spoof": int((~real).sum())}
