"""Add the scores of several runs clip by clip, and judge the sum as a run on a fold is judged.

    python tools/sum_scores.py runs/headline/spectrogram_cnn/A/0 \
        runs/folds_embedded/copies_cnn/A/0 --scale 1 1 --fold A -o results/folds_copies/beside/A/0

Each RUN is one that `loradar grid` made. Logits that are added (`tools/add_branch.py`) give scores
that are added, so this says what the joined detector would reach. OUT gets ``suite.json``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pandas as pd

from loradar.errors import InputError, LoradarError
from loradar.evaluation.compare.runs import SCORES, SUITE
from loradar.evaluation.scorefile import read_scores
from loradar.evaluation.suites.mini import SUITES, check_fold, mini_report
from loradar.files import write_json


def summed(runs: list[Path], scales: list[float]) -> pd.DataFrame:
    """Return the clips of the first run with the weighted sum of all runs' scores.

    Raises
    ------
    InputError
        The runs scored other clips, or there is not one scale a run.
    """
    if len(scales) != len(runs):
        raise InputError(f"{len(runs)} runs, but {len(scales)} of --scale")
    tables = [read_scores(run / SCORES) for run in runs]
    total = tables[0].assign(score=0.0)
    for run, table, scale in zip(runs, tables, scales, strict=True):
        if list(table["path"]) != list(total["path"]):
            raise InputError(f"{run / SCORES}: other clips than {runs[0] / SCORES}")
        total["score"] += scale * table["score"].astype(float)
    return total


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("--scale", type=float, nargs="+", default=[], help="one a run; 1 unless")
    parser.add_argument(
        "--fold",
        required=True,
        help="that the runs were trained on, such as A or without_diffusion",
    )
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="OUT")
    given = parser.parse_args(arguments)
    try:
        table = summed(given.runs, given.scale or [1.0] * len(given.runs))
        check_fold(given.fold)
        suite = next(name for name, fold in SUITES.items() if fold == given.fold)
        report = mini_report(table, given.fold, resamples=0)
        write_json(given.out / SUITE, {"suite": suite, **report})
    except (LoradarError, OSError) as error:
        print(f"sum_scores: {error}", file=sys.stderr)
        return 2
    print(f"{report['matched']['ood_average']['eer_tie_safe']:.4f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
