"""How long a training waits for its clips: reading, decoding and augmenting beside the model.

The spectrogram CNN on the mini benchmark's clips, nothing held in memory, from FLAC files and from
tar shards. Run it alone with ``python benchmarks/loader.py``; it needs the shared speech. Two
processes share the machine: the model on one thread, and one that reads.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from loradar.audio.augmentation import build_augmentation
from loradar.audio.reading import SAMPLE_RATE, load_audio
from loradar.audio.windows import crop
from loradar.corpora.manifest import read_manifest, write_manifest
from loradar.corpora.shards import write_shards
from loradar.training.readers import reading_processes
from loradar.training.recipe import Recipe, Workers, read_recipe
from loradar.training.run import train

ROOT = Path(__file__).resolve().parents[1]
RECIPE = ROOT / "recipes" / "mini_fold_a_cnn.yaml"
SPEECH = ROOT.parent / "shared" / "speech" / "labelled.csv"
STEPS = 24
TARGET = 0.05
CLIPS = 200  # of the clips, for the parts of the loader's time


def recipe(manifest: Path, workers: Workers, steps: int, more: Sequence[str] = ()) -> Recipe:
    """Return the CNN's recipe, reading from disk, without a dev set to score."""
    return read_recipe(
        RECIPE,
        [
            f"data.path={manifest}",
            "data.preload=false",
            f"data.workers={workers}",
            "data.dev={split: dev, label: bonafide}",
            f"training.steps={steps}",
            f"training.evaluate_every={steps}",
            *more,
        ],
    )


def parts(settings: Recipe, paths: list[str]) -> dict[str, float]:
    """Return the milliseconds a clip of reading with decoding, and of augmenting."""
    augment = build_augmentation(settings.augmentation)
    spent = {"read": 0.0, "augment": 0.0}
    for number, path in enumerate(paths):
        rng = np.random.default_rng(number)
        started = time.perf_counter()
        samples = load_audio(path)
        read = time.perf_counter()
        augment(crop(samples, settings.data.window, rng), SAMPLE_RATE, rng)
        spent["read"] += read - started
        spent["augment"] += time.perf_counter() - read
    return {name: 1000 * seconds / len(paths) for name, seconds in spent.items()}


def measure(
    workers: Sequence[Workers] = ("auto",), steps: int = STEPS, more: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """Return the rows for results.json; none where the shared speech is not there.

    ``auto`` is what recipes ask for unless they name a number; ``more`` changes the recipe, as
    ``--set`` of ``loradar train`` does.
    """
    if not SPEECH.is_file():
        print(f"loader: {SPEECH} is not there: left out", file=sys.stderr)
        return []
    logging.getLogger("loradar").setLevel(logging.WARNING)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        shards = Path(folder) / "shards"
        write_shards(read_manifest(SPEECH), shards)
        files = Path(folder) / "files.csv"
        write_manifest(read_manifest(SPEECH), files)
        for source, manifest in (("FLAC files", files), ("tar shards", shards / "manifest.csv")):
            paths = read_manifest(manifest).table["path"].tolist()[:CLIPS]
            spent = parts(recipe(manifest, 0, steps, more), paths)
            for count in workers:
                out = Path(folder) / f"{manifest.parent.name}-{count}"
                found = train(recipe(manifest, count, steps, more), out).metrics
                rows.append(_row(source, reading_processes(count), steps, found, spent))
    torch.set_num_threads(threads)
    return rows


def _row(
    source: str, workers: int, steps: int, found: dict[str, Any], spent: dict[str, float]
) -> dict[str, Any]:
    share = found["waiting_share"]
    beside = {0: "no process", 1: "one process"}.get(workers, f"{workers} processes")
    return {
        "name": f"training waits for clips: {source}, {beside} reading",
        "value": share,
        "unit": "share of the time",
        "target": TARGET if workers else None,
        "better": "lower",
        "ok": share <= TARGET if workers else None,
        "how": f"spectrogram CNN (recipes/{RECIPE.name}) on one thread, {steps} steps of 32 clips "
        f"of 2.8 s, median step {found['step_seconds']:.3f} s; a clip takes {spent['read']:.1f} ms "
        f"to read and decode and {spent['augment']:.1f} ms to augment; from the second step on",
    }


def main() -> None:
    """Measure with so many reading processes as are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, "auto"])
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--set", action="append", default=[], help="change the recipe")
    options = parser.parse_args()
    for row in measure(options.workers, options.steps, options.set):
        print(f"{row['name']:62} {100 * row['value']:5.1f} %\n  {row['how']}", flush=True)


if __name__ == "__main__":
    main()
