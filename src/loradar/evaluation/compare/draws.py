"""Bootstrap draws of one run: its equal error rates under the same resampled clips as any other.

All runs share one table of clips, so a draw is one weight for each clip, whatever the fold: a
cluster (the sentence, the speaker) that is drawn twice counts twice in every run and every group.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from loradar.errors import InputError
from loradar.evaluation.bootstrap import Resampler
from loradar.evaluation.compare.runs import SCORES, Run
from loradar.evaluation.det import FloatArray, WeightedEer
from loradar.evaluation.scorefile import read_scores
from loradar.evaluation.suites.mini import COLUMNS, parts, selections

#: Selections of clips that are compared; `mini.mini_report` has more.
COMPARED = ("matched", "pair_disjoint", "matched_without_lj", "all")
#: Stands for the in-domain groups together.
ID = "id"
Part = tuple[str, str]
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class RunDraws:
    """One run's figures.

    Attributes
    ----------
    run : Run
        The run.
    rates : dict
        (selection, group or ``id``) -> tie-safe EER on the clips as they are.
    draws : dict
        The same keys -> shape ``[D]``: the EER on each draw of clips. Where clips are not
        resampled, ``rates`` ``D`` times.
    """

    run: Run
    rates: dict[Part, float]
    draws: dict[Part, FloatArray]


def rates_of(run: Run) -> dict[Part, float]:
    """Return a run's equal error rates from its report; see `RunDraws`."""
    found: dict[Part, float] = {}
    for selection in COMPARED:
        report = run.report[selection]
        if report["id"] is not None:
            found[selection, ID] = report["id"]["eer_tie_safe"]
        for group, block in report["ood"].items():
            found[selection, group] = block["eer_tie_safe"]
    return {part: rate for part, rate in found.items() if rate is not None}


def draw_runs(
    runs: Sequence[Run],
    *,
    clusters: str = "pair_id",
    resamples: int,
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[list[RunDraws], bool]:
    """Resample the clips of finished runs.

    Parameters
    ----------
    runs : sequence of Run
        All done.
    clusters : str
        Column to resample by.
    resamples : int
        Draws ``D``.
    seed : int
        The same seed gives the same draws.
    progress : callable, optional
        Called with (done, total, what).

    Returns
    -------
    list of RunDraws
        In the order of ``runs``.
    bool
        Whether clips were resampled: not so when a run has no ``scores.csv``.

    Raises
    ------
    InputError
        Runs were scored on different tables, or a score file does not fit.
    """
    rates = [rates_of(run) for run in runs]
    if not all((run.folder / SCORES).exists() for run in runs):
        return [
            RunDraws(run, mine, {part: np.full(resamples, rate) for part, rate in mine.items()})
            for run, mine in zip(runs, rates, strict=True)
        ], False
    tables = [_scores(run.folder) for run in runs]
    _require_one_table(runs, tables)
    weights = _weights(runs, tables, clusters, resamples, seed)
    found = []
    for done, (run, mine, table) in enumerate(zip(runs, rates, tables, strict=True), 1):
        found.append(RunDraws(run, mine, _draws(run, mine, table, weights)))
        if progress is not None:
            progress(done, len(runs), "resampling")
    return found, True


def _scores(folder: Path) -> pd.DataFrame:
    path = folder / SCORES
    table = read_scores(path)
    for name in COLUMNS:
        if name not in table:
            raise InputError(f"{path}: no column '{name}'; score the run again")
    return table


def _require_one_table(runs: Sequence[Run], tables: Sequence[pd.DataFrame]) -> None:
    """Raise when runs are not about the same clips with the same labels."""
    described = ["path", *COLUMNS]
    for run, table in zip(runs, tables, strict=True):
        if not table[described].equals(tables[0][described]):
            raise InputError(
                f"{run.folder} was scored on another table of clips than {runs[0].folder}: "
                "compare runs of one benchmark"
            )


def _weights(
    runs: Sequence[Run],
    tables: Sequence[pd.DataFrame],
    clusters: str,
    resamples: int,
    seed: int,
) -> FloatArray:
    """Return draws of all clips, ``[D, N]``; clips that no run judges weigh nothing."""
    clips = tables[0]
    if clusters not in clips:
        raise InputError(f"{runs[0].folder / SCORES}: no column '{clusters}' to resample by")
    judged = np.any([table["score"].notna().to_numpy() for table in tables], axis=0)
    rows = np.flatnonzero(judged)
    real = (clips["label"] == "bonafide").to_numpy()[rows]
    resampler = Resampler(real, clips[clusters].to_numpy(object)[rows], seed=seed)
    weights = np.zeros((resamples, len(clips)))
    for number, weight in enumerate(resampler.draw(resamples)):
        weights[number, rows] = weight
    return weights


def _draws(
    run: Run, rates: dict[Part, float], table: pd.DataFrame, weights: FloatArray
) -> dict[Part, FloatArray]:
    part = parts(table, run.report["fold"])
    chosen = selections(table, part)
    group = table["group"].to_numpy(object)
    score = table["score"].to_numpy(np.float64)
    found: dict[Part, FloatArray] = {}
    for selection, name in rates:
        spoof = part["id"] if name == ID else part["ood"] & (group == name)
        rows = np.flatnonzero((part["human"] | spoof) & chosen[selection])
        rate = WeightedEer(score[rows], part["human"][rows])
        found[selection, name] = rate.many(weights[:, rows])
        if abs(rate() - rates[selection, name]) > 1e-6:
            raise InputError(f"{run.folder}: {SCORES} does not give the figures of the report")
    return found
