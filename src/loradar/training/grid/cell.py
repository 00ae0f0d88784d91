"""One run of a grid: train, score the fold's suite, write what came out.

``python -m loradar.training.grid.cell FOLDER [DRAWS]`` is what each run's process executes, so
that a crash or too little memory ends one run and not the grid, and so that peak memory is the
run's own.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from loradar.audio.reading import load_audio
from loradar.corpora.manifest import Manifest, read_manifest
from loradar.corpora.protocols import read_corpus
from loradar.detector.checkpoint import load_detector
from loradar.detector.scorer import score_clips
from loradar.errors import InputError, LoradarError
from loradar.evaluation.compare.runs import CELL, FAILED, METRICS, SCORES, SUITE
from loradar.evaluation.scorefile import write_scores
from loradar.evaluation.suites.baselines import corpus_prior, lfcc_gmm, trivial
from loradar.evaluation.suites.mini import (
    COLUMNS,
    HUMAN,
    INNER,
    fold_of,
    judged,
    mini_report,
    sealed,
)
from loradar.files import write_json
from loradar.training.grid.lock import BusyError, locked
from loradar.training.grid.plan import Cell
from loradar.training.recipe import Recipe, parse_recipe
from loradar.training.run import train
from loradar.training.sections import conditions

BUSY = 3
Scores = NDArray[np.float64]
BASELINES: dict[str, Callable[[pd.DataFrame, str], Scores]] = {
    "corpus_prior": corpus_prior,
    "trivial_features": lambda clips, fold: trivial(clips, fold, load_audio),
    "lfcc_gmm": lambda clips, fold: lfcc_gmm(clips, fold, load_audio),
}


def run_cell(folder: Path, draws: Path | None = None) -> None:
    """Do what ``cell.json`` in ``folder`` says, going on where an earlier attempt stopped.

    Writes the checkpoint folder that `loradar.training.run.train` writes, ``scores.csv`` (all clips
    of the benchmark, those that the suite does not judge without a score) and, last,
    ``suite.json``. The trainer's ``checkpoints/`` are removed at the end.

    Parameters
    ----------
    folder : Path
        The run's.
    draws : Path, optional
        See `train`.

    Raises
    ------
    LoradarError
        The run cannot be made: as `train`; a clip cannot be read; a clip to be judged would be
        trained on.
    """
    cell = Cell(**json.loads((folder / CELL).read_text(encoding="utf-8")))
    manifest = read_manifest(cell.on)
    fold = fold_of(cell.suite)
    rows = judged(manifest.table, fold)
    batch_size = 16
    if cell.recipe is not None:
        recipe = parse_recipe(cell.recipe, str(folder / CELL))
        batch_size = recipe.evaluation.batch_size
        _require_unseen(recipe, manifest.table, rows, fold)
        if not (folder / METRICS).exists():
            train(recipe, folder, resume=(folder / "recipe.yaml").exists(), draws=draws)
    if cell.kind == "baseline":
        scores = np.where(rows, BASELINES[cell.variant](manifest.table, fold), np.nan)
    else:
        scores = _scores(Path(cell.model or folder), manifest, rows, batch_size)
    table = manifest.table.assign(score=scores)
    _write(folder, cell, fold, table)
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)


def _require_unseen(
    recipe: Recipe, clips: pd.DataFrame, rows: NDArray[np.bool_], fold: str
) -> None:
    """Raise InputError when the recipe trains, or chooses, on a clip that it must not see.

    That is what the suite judges (``rows``) and, on inner folds, every eval clip and the other
    fold's groups. Human dev clips judge inner folds: there the dev set may hold them, since it
    only reports, as long as it does not choose the checkpoint.
    """
    data = recipe.data
    inner = fold in INNER
    if inner and recipe.training.best_metric != "last":
        raise InputError(
            "human dev clips judge this inner fold and may not choose the checkpoint: add the "
            "override training.best_metric=last"
        )
    shut = sealed(clips, fold)
    unseen = set(clips["path"][rows | shut])
    human = set(clips["path"][(clips["group"] == HUMAN).to_numpy() & ~shut]) if inner else set()
    parts = [(data.corpus, data.path, data.train, unseen)]
    parts += [(data.corpus, data.path, data.dev, unseen - human)]
    parts += [(more.corpus, more.path, more.train, unseen) for more in data.also]
    for corpus, path, chosen, apart in parts:
        used = read_corpus(corpus, path).where(conditions(chosen)).table["path"]
        seen = sorted(set(used) & apart)
        if seen:
            what = "judges or keeps sealed" if inner else "judges"
            raise InputError(
                f"{len(seen)} clips that the suite {what} are in data.train, data.dev or data.also "
                f"(first: {seen[0]}): give the fold the overrides data.train.group={{groups}} and "
                "data.dev.group={groups}"
            )


def _scores(model: Path, manifest: Manifest, rows: NDArray[np.bool_], batch_size: int) -> Scores:
    """Score the clips that ``rows`` marks; NaN elsewhere. Shape ``[N]``."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    detector = load_detector(model, device=device)
    clips = (load_audio(path) for path in manifest.table["path"][rows])
    scores = np.full(len(manifest), np.nan)
    scores[rows] = [clip.score for clip in score_clips(detector, clips, batch_size=batch_size)]
    return scores


def _write(folder: Path, cell: Cell, fold: str, table: pd.DataFrame) -> None:
    report = mini_report(table, fold, resamples=0)
    root = os.path.abspath(Path(cell.on).parent)  # noqa: PTH100 - as in Manifest
    kept = table[["path", *COLUMNS, "score"]].copy()
    kept["path"] = [os.path.relpath(path, root) for path in kept["path"]]
    write_scores(folder / SCORES, kept)
    write_json(folder / SUITE, {"suite": cell.suite, **report})


def main(folder: Path, draws: Path | None = None) -> int:
    """Run the cell in ``folder``; record in ``failed.json`` why not, if so.

    Returns
    -------
    int
        Exit code: 0 done, 1 a fault of the program, 2 of the input, 3 in use by another process.
    """
    logging.basicConfig(format="%(asctime)s  %(message)s", datefmt="%Y-%m-%d %H:%M:%S")
    logging.getLogger("loradar").setLevel(logging.INFO)
    try:
        with locked(folder):
            run_cell(folder, draws)
    except BusyError:
        return BUSY
    except (LoradarError, OSError) as error:
        write_json(folder / FAILED, {"reason": " ".join(str(error).split())})
        return 2
    except Exception as error:
        traceback.print_exc()
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        write_json(folder / FAILED, {"reason": reason})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
