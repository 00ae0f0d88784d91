"""Calibration and thresholds fitted on one half of held-back clips and checked on the other."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from loradar.errors import InputError
from loradar.evaluation.calibration import Calibration, fit
from loradar.evaluation.det import BoolArray
from loradar.evaluation.metrics import cllr
from loradar.evaluation.verdicts import check_verdicts, fit_thresholds


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


def fit_and_check(
    trials: pd.DataFrame, *, by: str = "speaker", right: float = 0.9
) -> tuple[Calibration, dict[str, Any]]:
    """Fit score -> LLR and verdict thresholds on half of the trials, and check them on the rest.

    Parameters
    ----------
    trials : DataFrame
        ``score``, ``label``, ``path`` and the column ``by``. Rows without label or score are left
        out.
    by : str
        What the halves may not share. Bona fide and spoofed names are halved apart, so that both
        halves hold both classes; a clip without a name counts alone, by its path.
    right : float
        Share of given verdicts that are to be right at equal priors.

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
    """
    for name in ("score", "label", "path", by):
        if name not in trials:
            raise InputError(f"the trials have no column '{name}'")
    known = trials[trials["label"].isin(["bonafide", "spoof"]) & trials["score"].notna()]
    real = (known["label"] == "bonafide").to_numpy()
    names = known[by].fillna("").astype(str)
    names = names.where(names != "", known["path"].astype(str))
    # A speaker with clips of both classes stays on one side: his spoofs follow his own voice.
    spoken = names[real]
    mine = pd.Series(halves(spoken), index=spoken.index).groupby(spoken).first()
    alone = names[~names.isin(mine.index)]
    others = pd.Series(halves(alone), index=alone.index).groupby(alone).first()
    first = names.map(pd.concat([mine, others])).to_numpy(bool)
    score = known["score"].to_numpy(np.float64)
    for rows, what in ((first, "fit"), (~first, "check")):
        if len(set(real[rows].tolist())) < 2:
            raise InputError(
                f"the half to {what} on lacks a class: give more clips, of more than one {by} a "
                "class"
            )
    calibration = fit(score[first], real[first])
    thresholds = fit_thresholds(calibration.llr(score[first]), real[first], right)
    calibration = replace(calibration, thresholds=thresholds)
    llr = calibration.llr(score[~first])
    report = {
        "fitted": _counts(real[first]),
        "checked": _counts(real[~first]),
        "cllr": cllr(llr[real[~first]], llr[~real[~first]]),
        "verdicts": check_verdicts(llr, real[~first], thresholds),
    }
    return calibration, report


def _counts(real: BoolArray) -> dict[str, int]:
    return {"bonafide": int(real.sum()), "spoof": int((~real).sum())}
