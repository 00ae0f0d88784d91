import copy
from pathlib import Path

import pandas as pd
import pytest
import yaml

from loradar.evaluation.suites.mini import GROUPS


@pytest.fixture(scope="session")
def benchmark(tiny_corpus) -> Path:
    """A miniature of the mini benchmark's table over the tiny clips."""
    table = pd.read_csv(tiny_corpus)
    spoof = table["label"] == "spoof"
    splits = ("train", "dev", "eval")
    table["group"] = "human"
    table.loc[spoof, "group"] = [GROUPS[i % 7] for i in range(int(spoof.sum()))]
    table.loc[spoof, "split"] = [splits[i // 7 % 3] for i in range(int(spoof.sum()))]
    table.loc[~spoof, "split"] = [splits[i % 3] for i in range(int((~spoof).sum()))]
    table["matched"] = "yes"
    table["pair_id"] = [f"p{i}" for i in range(len(table))]
    path = tiny_corpus.parent / "grid_benchmark.csv"
    table.to_csv(path, index=False)
    return path


@pytest.fixture
def grid_values(tiny_recipe, benchmark, tmp_path) -> dict:
    """A grid over the tiny recipe, which lies beside it as ``recipe.yaml``."""
    recipe = copy.deepcopy(tiny_recipe)
    recipe["data"] = {"path": str(benchmark), "window": 6_000}
    recipe["training"].update({"steps": 2, "evaluate_every": 1})
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    return {
        "recipe": "recipe.yaml",
        "overrides": ["data.train.group={groups}", "data.dev.group={groups}"],
        "variants": {
            "full": ["adaptation.mode=full"],
            "moe": {"overrides": ["adaptation.moe_lora.rank={rank}"]},
        },
        "folds": {
            "A": {"suite": "mini_fold_a", "values": {"rank": "3"}},
            "B": {"suite": "mini_fold_b", "values": {"rank": "1"}},
        },
        "seeds": [0, 4],
        "baselines": ["corpus_prior"],
    }


@pytest.fixture
def write_grid(tmp_path):
    """Write a grid's values as YAML; give the file."""

    def write(values: dict) -> Path:
        path = tmp_path / "grid.yaml"
        path.write_text(yaml.safe_dump(values, sort_keys=False))
        return path

    return write
