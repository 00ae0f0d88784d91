import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from loradar.evaluation.compare.runs import CELL, METRICS, SCORES, SUITE
from loradar.evaluation.scorefile import write_scores
from loradar.evaluation.suites.mini import GROUPS, judged, mini_report
from loradar.files import write_json


@pytest.fixture(scope="session")
def clips() -> pd.DataFrame:
    """Every group in every split, eight clips each; two in eight not matched."""
    rows = [
        {
            "path": f"{group}/{split}/{number}.flac",
            "label": "bonafide" if group == "human" else "spoof",
            "group": group,
            "corpus": "c1" if number % 2 else "c2",
            "speaker": "LJ" if number == 0 else f"s{number}",
            "pair_id": "" if number == 5 else f"{split}-{number}",
            "matched": "no" if number < 2 else "yes",
            "split": split,
        }
        for group in ("human", *GROUPS)
        for split in ("train", "dev", "eval")
        for number in range(8)
    ]
    return pd.DataFrame(rows)


def _write_run(root: Path, clips: pd.DataFrame, name: str, skill: float, noise: int) -> None:
    """Write a finished run ``VARIANT/FOLD/SEED`` whose clips score ``skill`` apart."""
    variant, fold, seed = name.split("/")
    kind = "baseline" if variant == "corpus_prior" else "train"
    folder = root / name
    folder.mkdir(parents=True)
    rng = np.random.default_rng([int(seed), ord(fold), noise])
    score = rng.normal(size=len(clips)) + skill * (clips["label"] == "bonafide")
    table = clips.assign(score=score.where(pd.Series(judged(clips, fold))))
    write_json(folder / CELL, {"variant": variant, "fold": fold, "seed": int(seed), "kind": kind})
    write_scores(folder / SCORES, table)
    write_json(folder / SUITE, mini_report(table, fold, resamples=0))
    if kind == "train":
        costs = {"trained_parameters": 1000, "step_seconds": 0.25 + int(seed), "seconds": 60.0}
        write_json(folder / METRICS, costs)


@pytest.fixture(scope="session")
def _grid_once(clips, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("compare") / "grid"
    for fold in "AB":
        for seed in range(3):
            _write_run(root, clips, f"full/{fold}/{seed}", 1.0, 0)
            _write_run(root, clips, f"lora/{fold}/{seed}", 1.0, 0)
            _write_run(root, clips, f"moe_lora/{fold}/{seed}", 2.5, 1)
        _write_run(root, clips, f"corpus_prior/{fold}/0", 0.0, 2)
    return root


@pytest.fixture
def grid(_grid_once, tmp_path) -> Path:
    """A grid's folder: moe_lora better than full, lora the same as full, one baseline."""
    shutil.copytree(_grid_once, tmp_path / "grid")
    return tmp_path / "grid"
