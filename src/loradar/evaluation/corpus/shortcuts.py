"""How well the classes are told apart by what has nothing to do with synthesis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from loradar.audio.measure import Measured
from loradar.evaluation.metrics import auc
from loradar.evaluation.suites.baselines import RIDGE, fit_logistic

FOLDS = 5
SUSPICIOUS = 0.6  # a lower end of the interval above this betrays a shortcut
MOST_CLIPS = 20_000  # of each class, for the regressions
MIN_CLIPS = 10  # of each class
_Z = 1.96


@dataclass(frozen=True)
class Shortcut:
    """What one trivial feature knows.

    Attributes
    ----------
    feature : str
        Its name.
    auc : float
        Area under the curve, 0.5 to 1 for single numbers (the better direction).
    low : float
        Lower end of its 95 % interval.
    bonafide, spoof : str
        Median, or commonest value, of each class.
    """

    feature: str
    auc: float
    low: float
    bonafide: str = ""
    spoof: str = ""

    @property
    def suspicious(self) -> bool:
        """Whether a detector could lean on it."""
        return self.low > SUSPICIOUS


def shortcuts(
    measured: Sequence[Measured], table: pd.DataFrame, *, seed: int = 0
) -> list[Shortcut]:
    """Measure every trivial feature; the strongest first.

    Parameters
    ----------
    measured : sequence of Measured, N
        The clips, all of them readable.
    table : DataFrame, N rows
        ``label`` of each, and ``speaker`` and ``corpus``, which cross-validation keeps together.
    seed : int
        Draws the clips of large corpora.

    Returns
    -------
    list of Shortcut
        Empty with fewer than ten labelled clips of a class.
    """
    labels = table["label"].to_numpy(object)
    rng = np.random.default_rng(seed)
    kept = [
        rng.permutation(np.flatnonzero(labels == name))[:MOST_CLIPS]
        for name in ("bonafide", "spoof")
    ]
    if min(map(len, kept)) < MIN_CLIPS:
        return []
    rows = np.sort(np.concatenate(kept))
    clips = [measured[row] for row in rows]
    real = labels[rows] == "bonafide"
    fold = _folds(table.iloc[rows], seed)
    numbers = {
        "duration (s)": [clip.seconds for clip in clips],
        "level (dB)": [clip.level_db for clip in clips],
        "peak (dB)": [clip.peak_db for clip in clips],
        "DC offset": [abs(clip.dc) for clip in clips],
        "exact zeros": [clip.zeros for clip in clips],
        "band edge (Hz)": [clip.edge_hz for clip in clips],
        "leading silence (s)": [clip.lead_s for clip in clips],
        "trailing silence (s)": [clip.trail_s for clip in clips],
    }
    names = {
        "native rate": [f"{clip.sample_rate} Hz" for clip in clips],
        "format": [f"{clip.kind}, {clip.channels} ch" for clip in clips],
        "corpus": table["corpus"].iloc[rows].astype(str).tolist(),
    }
    found = [_of_numbers(name, np.array(values), real) for name, values in numbers.items()]
    found += [_of_names(name, values, real, fold) for name, values in names.items()]
    spectra = np.stack([clip.spectrum for clip in clips if clip.spectrum is not None])
    found.append(_of_spectra(spectra, real, fold))
    return sorted(found, key=lambda shortcut: -shortcut.auc)


def _folds(table: pd.DataFrame, seed: int) -> NDArray[np.int64]:
    """Cross-validation by speaker where speakers are known, else by clip."""
    speakers = table["corpus"].astype(str) + "/" + table["speaker"].astype(str)
    known = bool((table["speaker"] != "").all()) and speakers.nunique() >= FOLDS
    codes = pd.factorize(speakers)[0] if known else np.arange(len(table))
    order = np.random.default_rng(seed).permutation(int(codes.max()) + 1)
    return np.asarray(order[codes] % FOLDS, np.int64)


def _shortcut(
    feature: str, area: float, real: NDArray[np.bool_], typical: Sequence[str]
) -> Shortcut:
    count, others = int(real.sum()), int((~real).sum())
    # Under chance; wide enough, since what is flagged lies well above it.
    spread = math.sqrt((1.0 / count + 1.0 / others) / 12.0)
    return Shortcut(feature, area, max(0.0, area - _Z * spread), *typical)


def _of_numbers(feature: str, values: NDArray[np.float64], real: NDArray[np.bool_]) -> Shortcut:
    area = float(auc(values[real], values[~real]))
    typical = [f"{np.median(values[mine]):.4g}" for mine in (real, ~real)]
    return _shortcut(feature, max(area, 1.0 - area), real, typical)


def _of_names(
    feature: str, values: Sequence[str], real: NDArray[np.bool_], fold: NDArray[np.int64]
) -> Shortcut:
    """Score each value by its human share in the other folds."""
    codes, levels = pd.factorize(np.asarray(values, object))
    scores = np.zeros(len(codes))
    for held_out in range(FOLDS):
        train = fold != held_out
        human = np.bincount(codes[train & real], minlength=len(levels)) + 1.0
        spoof = np.bincount(codes[train & ~real], minlength=len(levels)) + 1.0
        # Shares of each class, so that the corpus's balance plays no part.
        logit = np.log(human / human.sum()) - np.log(spoof / spoof.sum())
        scores[~train] = logit[codes[~train]]
    area = float(auc(scores[real], scores[~real])) if len(levels) > 1 else 0.5
    typical = [str(levels[np.bincount(codes[mine]).argmax()]) for mine in (real, ~real)]
    return _shortcut(feature, area, real, typical)


def _of_spectra(
    spectra: NDArray[np.float64], real: NDArray[np.bool_], fold: NDArray[np.int64]
) -> Shortcut:
    scores = np.zeros(len(spectra))
    ranks = []
    for held_out in range(FOLDS):
        test = fold == held_out
        train = ~test
        if not (test & real).any() or not (test & ~real).any():
            continue
        if not (train & real).any() or not (train & ~real).any():
            continue
        mean, spread = spectra[train].mean(axis=0), spectra[train].std(axis=0) + 1e-9
        weights, bias = fit_logistic((spectra[train] - mean) / spread, real[train], RIDGE)
        scores[test] = (spectra[test] - mean) / spread @ weights + bias
        ranks.append(float(auc(scores[test & real], scores[test & ~real])))
    return _shortcut("long-term spectrum", float(np.mean(ranks)) if ranks else 0.5, real, ("", ""))
