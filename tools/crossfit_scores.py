"""Scores of attacks that each model left out, for calibrating one that heard them all.

    python tools/crossfit_scores.py runs/folds_embedded --variant moe_lora \
        --on ../shared/speech/labelled.csv -o runs/embedded/crossfit.csv
    python tools/crossfit_scores.py ... --split eval -o runs/embedded/crossfit_eval.csv
    loradar calibrate runs/embedded/detector --learn-on runs/embedded/crossfit.csv \
        --check-on runs/embedded/crossfit_eval.csv

FOLDER is a grid that leaves groups out (`loradar grid`). From each run: the train and
dev clips of the group it left out, and the human dev clips, which none of them trained on; with
--split eval, to check, the eval clips of both. A model calibrated on clips like those it was
trained on would be far too sure of attacks it never heard; these scores are of such attacks. With
--branch VARIANT=SCALE (may be given again) each run has the run of the same fold and seed of that
variant beside it. With
--conditions each clip counts once as it is and once under each of them (`loradar evaluate
--conditions`), so that verdicts are no surer than noise, rooms and links allow.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from loradar.audio.reading import SAMPLE_RATE, load_audio
from loradar.corpora.manifest import read_manifest
from loradar.detector.branch import join
from loradar.detector.checkpoint import load_detector
from loradar.detector.scorer import score_clips
from loradar.errors import InputError, LoradarError
from loradar.evaluation.compare.runs import SUITE
from loradar.evaluation.conditions import choose_conditions, under
from loradar.evaluation.scorefile import write_scores
from loradar.evaluation.suites.mini import HUMAN, ood_groups

COLUMNS = ["path", "label", "attack", "corpus", "speaker", "group", "matched", "pair_id"]
CLEAN = ("clean",)


def held_out(table: pd.DataFrame, fold: str, split: str = "dev") -> pd.DataFrame:
    """Return the clips that a fold's model has not heard: to choose thresholds, or to check them.

    Parameters
    ----------
    table : DataFrame
        The benchmark: ``group`` and ``split``.
    fold : str
        Of `loradar.evaluation.suites.mini.FOLDS`.
    split : {"dev", "eval"}
        ``dev`` takes the train clips of the group left out too.
    """
    group = table["group"]
    splits = ["train", "dev"] if split == "dev" else [split]
    spoofs = group.isin(ood_groups(fold)) & table["split"].isin(splits)
    return table[spoofs | ((group == HUMAN) & (table["split"] == split))]


def crossfit(
    folder: Path,
    variant: str,
    on: Path,
    split: str,
    conditions: Sequence[str] = CLEAN,
    branches: Sequence[tuple[str, float]] = (),
) -> pd.DataFrame:
    """Score what each run of ``folder/variant`` left out, under each condition.

    Parameters
    ----------
    folder, variant, on, split, conditions
        As on the command line.
    branches : sequence of (str, float)
        Variants whose runs stand beside, and the scales of their logits.

    Raises
    ------
    InputError
        There is no such run.
    """
    table = read_manifest(on).table
    found = []
    for suite in sorted((folder / variant).glob(f"*/*/{SUITE}")):
        fold = json.loads(suite.read_text(encoding="utf-8"))["fold"]
        clips = held_out(table, fold, split)
        detector = load_detector(suite.parent)
        for name, scale in branches:
            beside = folder / name / suite.parent.relative_to(folder / variant)
            detector = join(detector, load_detector(beside), scale)
        kept = clips[[name for name in COLUMNS if name in clips]]
        if "speaker" in kept:
            # A clip whose speaker is not known is one speaker's in all its trials, so that halves
            # by speaker never have it on both sides.
            kept = kept.assign(speaker=kept["speaker"].where(kept["speaker"] != "", kept["path"]))
        for condition in conditions:
            audio = (under(condition, load_audio(p), SAMPLE_RATE, str(p)) for p in clips["path"])
            scores = [clip.score for clip in score_clips(detector, audio)]
            # A human clip is a trial of each run and condition, so a trial is named by all.
            run = f"{fold}:{suite.parent.name}:{condition}:"
            found.append(
                kept.assign(
                    path=run + kept["path"], score=scores, left_out=fold, condition=condition
                )
            )
            told = f"{suite.parent}: {len(clips)} clips, {condition}"
            print(told, file=sys.stderr, flush=True)
    if not found:
        raise InputError(f"{folder / variant}: no finished run of a grid")
    return pd.concat(found, ignore_index=True)


def _branch(text: str) -> tuple[str, float]:
    name, _, scale = text.partition("=")
    return name, float(scale or 1.0)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="of the grid's runs")
    parser.add_argument("--variant", default="moe_lora")
    parser.add_argument(
        "--branch",
        metavar="VARIANT=SCALE",
        action="append",
        default=[],
        type=_branch,
        help="whose runs stand beside, and the scale of their logits",
    )
    parser.add_argument("--on", type=Path, required=True, metavar="TABLE", help="the benchmark")
    parser.add_argument("--split", choices=["dev", "eval"], default="dev")
    parser.add_argument("--conditions", default="clean", metavar="NAME,...", help="or all")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FILE")
    given = parser.parse_args(arguments)
    try:
        conditions = choose_conditions(given.conditions.split(","))
        table = crossfit(
            given.folder, given.variant, given.on, given.split, conditions, given.branch
        )
        write_scores(given.out, table)
    except (LoradarError, OSError) as error:
        print(f"crossfit_scores: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
