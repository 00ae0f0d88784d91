"""What growing an expert teaches, and what it forgets: each group of the mini benchmark in turn.

    python tools/growth_experiment.py runs/folds_embedded --on ../shared/speech/labelled.csv \
        -o results/growth
    python tools/growth_experiment.py runs/folds_embedded --on ... -o results/growth --jobs 2 \
        --ways grow,everything

FOLDER is a grid over the two folds (`loradar grid recipes/grids/folds_embedded.yaml`). A fold's
model of seed 0 has not heard the other fold's groups: each is the new attack in turn. A split
draws, by `pair_id`, eight in ten of the group's `train` clips to grow on (at most 200), with the
fold's own `train` clips to replay. The group's clips whose `pair_id` was not drawn, and the fold's
own groups' `eval` clips, judge it, both against human `eval` clips. `grow` is `loradar grow` as it
comes, in bfloat16; `everything` trains all weights on the same draws without `keep`, at a twentieth
of the rate. A run that is done stays; the table goes to OUT/growth.md.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from loradar.audio.reading import load_audio
from loradar.corpora.manifest import Manifest, read_manifest
from loradar.detector.checkpoint import load_detector
from loradar.detector.scorer import score_clips
from loradar.errors import InputError, LoradarError
from loradar.evaluation.det import eer
from loradar.evaluation.suites.mini import FOLDS, HUMAN, ood_groups
from loradar.files import atomic_path, write_json, write_text
from loradar.training.growth.run import grow
from loradar.training.growth.settings import GrowthSettings

MOST, SHARE, SPLITS = 200, 0.8, 5
#: `everything` at a rate usual for fine-tuning; it was not chosen by measurement.
WAYS: dict[str, dict[str, Any]] = {
    "grow": {"precision": "bf16"},
    "everything": {
        "precision": "bf16",
        "everything": True,
        "keep": 0.0,
        "learning_rate": 1e-4,
    },
}
RESAMPLES = 2_000


def drawn(table: pd.DataFrame, group: str, split: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the clips of a group to grow on, and those that judge.

    Parameters
    ----------
    table : DataFrame
        The benchmark: ``group``, ``split``, ``pair_id``.
    group : str
        The new attack.
    split : int
        Seeds the draw.
    """
    clips = table[table["group"] == group]
    named = clips["pair_id"].fillna("").astype(str)
    pairs = named.where(named != "", clips["path"].astype(str))
    train = clips["split"] == "train"
    order = np.random.default_rng(split).permutation(np.unique(pairs[train]))
    wanted = min(MOST, round(SHARE * int(train.sum())))
    chosen: set[str] = set()
    for pair in order:
        if int((train & pairs.isin(chosen)).sum()) >= wanted:
            break
        chosen.add(pair)
    return clips[train & pairs.isin(chosen)], clips[~pairs.isin(chosen)]


def one(model: Path, on: Path, fold: str, group: str, split: int, way: str) -> dict[str, Any]:
    """Grow one model in one way, and measure it before and after."""
    table = read_manifest(on).table
    new, tests = drawn(table, group, split)
    own = table["group"].isin([HUMAN, *FOLDS[fold]])
    human = table[(table["group"] == HUMAN) & (table["split"] == "eval")]
    old = table[own & (table["group"] != HUMAN) & (table["split"] == "eval")]
    judged = pd.concat([human, old, tests], ignore_index=True)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    before = judge(judged, _scores(model, judged["path"], device), group)
    settings = GrowthSettings.of(**WAYS[way], seed=split)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "grown"
        replay = Manifest(
            table[own & (table["split"] == "train")].reset_index(drop=True), source=str(on)
        )
        data = Manifest(new.reset_index(drop=True), source=str(on))
        result = grow(load_detector(model), model, folder, data, replay, settings=settings)
        after = judge(judged, _scores(folder, judged["path"], device), group)
    kept = ("seconds", "steps", "best_step", "trained_parameters", "clips", "settings")
    figures = ("held_before", "held_after")
    return {
        "fold": fold,
        "group": group,
        "split": split,
        "way": way,
        "before": before,
        "after": after,
        **{name: result.metrics[name] for name in (*kept, *figures)},
    }


def _scores(model: Path, paths: Iterable[Path], device: str) -> np.ndarray:
    detector = load_detector(model, device=device)
    return np.array([clip.score for clip in score_clips(detector, map(load_audio, paths))])


def judge(clips: pd.DataFrame, scores: np.ndarray, group: str) -> dict[str, dict[str, float]]:
    """Return EER (a fraction) and cross-entropy (nats) of the new group and of the others' mean.

    Parameters
    ----------
    clips : DataFrame
        ``group``, ``matched``.
    scores : ndarray, [N]
        Theirs.
    group : str
        The new one.
    """
    found: dict[str, dict[str, float]] = {}
    for which, keep in (("matched", clips["matched"] == "yes"), ("all", clips["matched"] != "")):
        real = scores[(keep & (clips["group"] == HUMAN)).to_numpy()]
        costs: dict[str, tuple[float, float]] = {}
        for name in sorted(set(clips["group"]) - {HUMAN}):
            fake = scores[(keep & (clips["group"] == name)).to_numpy()]
            if len(fake):
                both = np.logaddexp(0, -real).mean() + np.logaddexp(0, fake).mean()
                costs[name] = (float(eer(real, fake)), float(both / 2))
        others = np.array([value for name, value in costs.items() if name != group])
        found[which] = {
            "old_eer": float(others[:, 0].mean()),
            "old_cross_entropy": float(others[:, 1].mean()),
        }
        if group in costs:
            found[which] |= {"new_eer": costs[group][0], "new_cross_entropy": costs[group][1]}
    return found


def runs(out: Path) -> list[dict[str, Any]]:
    """Return the runs that are done."""
    return [json.loads(f.read_text(encoding="utf-8")) for f in sorted(out.glob("*/*/*.json"))]


def changes(done: list[dict[str, Any]], way: str, which: str, key: str) -> dict[str, float]:
    """Return mean before, after and change (fractions or nats), each group counting the same.

    ``high`` and ``low`` hold the middle 95 % of the mean change when groups, and within groups
    splits, are drawn anew.
    """
    pairs: dict[str, list[tuple[float, float]]] = {}
    for run in done:
        if run["way"] == way and key in run["before"][which]:
            value = (run["before"][which][key], run["after"][which][key])
            pairs.setdefault(run["group"], []).append(value)
    values = [np.array(found) for _, found in sorted(pairs.items())]
    rng = np.random.default_rng(0)
    means = []
    for _ in range(RESAMPLES):
        picked = [values[k] for k in rng.integers(len(values), size=len(values))]
        again = [v[rng.integers(len(v), size=len(v))] for v in picked]
        means.append(np.mean([(v[:, 1] - v[:, 0]).mean() for v in again]))
    before, after = (float(np.mean([v[:, k].mean() for v in values])) for k in (0, 1))
    low, high = np.percentile(means, [2.5, 97.5])
    return {"before": before, "after": after, "low": float(low), "high": float(high)}


def table_of(done: list[dict[str, Any]]) -> str:
    """Return the runs as Markdown."""
    lines = [
        "| way | group | splits | clips | new % | old groups % | new, all clips % "
        "| old, all clips % | seconds |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    ways = [way for way in WAYS if any(run["way"] == way for run in done)]
    for way in ways:
        mine = [run for run in done if run["way"] == way]
        for group in sorted({run["group"] for run in mine}):
            part = [run for run in mine if run["group"] == group]
            cells = [_arrow(part, way, w, k) for w in ("matched", "all") for k in ("new", "old")]
            clips = np.mean([r["clips"]["training"]["new attack"] for r in part])
            seconds = np.mean([r["seconds"] for r in part])
            lines.append(
                f"| {way} | {group} | {len(part)} | {clips:.0f} | {' | '.join(cells)} | "
                f"{seconds:.0f} |"
            )
        cells = [_arrow(mine, way, w, k) for w in ("matched", "all") for k in ("new", "old")]
        seconds = np.mean([run["seconds"] for run in mine])
        lines.append(
            f"| **{way}** | **mean** | {len(mine)} runs | | {' | '.join(cells)} | {seconds:.0f} |"
        )
    lines.append("")
    for way in ways:
        for key, unit, scale in (("eer", "points of EER", 100), ("cross_entropy", "nats", 1)):
            told = []
            for which in ("matched", "all"):
                found = changes(done, way, which, f"old_{key}")
                change = scale * (found["after"] - found["before"])
                span = f"{scale * found['low']:.2f} to {scale * found['high']:.2f}"
                told.append(f"{change:+.2f} ({span}) on {which} clips")
            lines.append(f"- {way}, old groups, {unit}: {', '.join(told)}")
    return "\n".join(lines)


def _arrow(done: list[dict[str, Any]], way: str, which: str, kind: str) -> str:
    if not any(f"{kind}_eer" in run["before"][which] for run in done):
        return "-"
    found = changes(done, way, which, f"{kind}_eer")
    return f"{100 * found['before']:.1f} → {100 * found['after']:.1f}"


def _planned(ways: list[str], splits: int) -> Iterator[tuple[str, str, int, str]]:
    for way in ways:
        for split in range(splits):
            for fold in ("A", "B"):
                for group in ood_groups(fold):
                    yield fold, group, split, way


def main(arguments: list[str] | None = None) -> int:
    """Run what is not done yet, and write the table; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="of the grid's runs")
    parser.add_argument("--variant", default="moe_lora")
    parser.add_argument("--on", type=Path, required=True, metavar="TABLE", help="the benchmark")
    parser.add_argument("--splits", type=int, default=SPLITS)
    parser.add_argument("--ways", default="grow,everything", metavar="WAY,...")
    parser.add_argument("--jobs", type=int, default=1, help="runs at once, each a process")
    parser.add_argument("--only", help=argparse.SUPPRESS)  # one run, in a process of its own
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="OUT")
    given = parser.parse_args(arguments)
    try:
        ways = given.ways.split(",")
        if unknown := set(ways) - set(WAYS):
            raise InputError(f"--ways {', '.join(sorted(unknown))}: there are {', '.join(WAYS)}")
        if given.only:
            fold, group, split, way = given.only.split(":")
            model = given.folder / given.variant / fold / "0"
            found = one(model, given.on, fold, group, int(split), way)
            write_json(given.out / group / split / f"{way}.json", found)
            return 0
        planned = [
            run
            for run in _planned(ways, given.splits)
            if not (given.out / run[1] / str(run[2]) / f"{run[3]}.json").exists()
        ]
        with ThreadPoolExecutor(given.jobs) as pool:
            for number, (run, code) in enumerate(
                pool.map(lambda run: (run, _in_process(given, run)), planned), 1
            ):
                told = "done" if code == 0 else f"failed ({code})"
                print(f"{number}/{len(planned)} {':'.join(map(str, run))}: {told}", flush=True)
        done = runs(given.out)
        if not done:
            raise InputError(f"{given.out}: no run came to its end")
        write_text(given.out / "growth.md", table_of(done) + "\n")
    except (LoradarError, OSError) as error:
        print(f"growth_experiment: {error}", file=sys.stderr)
        return 2
    return 0


def _in_process(given: argparse.Namespace, run: tuple[str, str, int, str]) -> int:
    log = given.out / "logs" / f"{'_'.join(map(str, run))}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, __file__, str(given.folder), "--variant", given.variant]
    command += ["--on", str(given.on), "-o", str(given.out), "--only", ":".join(map(str, run))]
    with atomic_path(log) as temporary, temporary.open("wb") as file:
        return subprocess.run(
            command, stdout=file, stderr=subprocess.STDOUT, check=False
        ).returncode


if __name__ == "__main__":
    sys.exit(main())
