import json

import pandas as pd
import pytest
import yaml

from loradar.evaluation.suites.mini import GROUPS


@pytest.fixture
def plan(tiny_corpus, tmp_path):
    """A grid of one baseline on one fold."""
    table = pd.read_csv(tiny_corpus)
    spoof = table["label"] == "spoof"
    table["group"] = "human"
    table.loc[spoof, "group"] = [GROUPS[i % 7] for i in range(int(spoof.sum()))]
    table["split"] = [("train", "dev", "eval")[i // 3 % 3] for i in range(len(table))]
    table["matched"], table["pair_id"] = "yes", [f"p{i}" for i in range(len(table))]
    table["path"] = [str(tiny_corpus.parent / path) for path in table["path"]]
    table.to_csv(tmp_path / "table.csv", index=False)
    values = {
        "folds": {"A": {"suite": "mini_fold_a", "on": str(tmp_path / "table.csv")}},
        "baselines": ["corpus_prior"],
    }
    path = tmp_path / "one.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def test_a_grid_from_the_command_line(loradar, plan, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = loradar("grid", plan, "--dry-run")
    assert ended.code == 0, ended.err
    assert "corpus_prior/A/0" in ended.out and "1 to do" in ended.out
    assert not (tmp_path / "runs").exists()

    # The one test with a run's real process.
    ended = loradar("grid", plan)
    assert ended.code == 0, ended.err
    assert "corpus_prior/A/0: OOD" in ended.err and "1 done" in ended.out
    assert pd.read_csv("runs/one/runs.csv")["within_corpus_auc"].tolist() == [0.5]
    ended = loradar("grid", plan, "--json")
    assert [row["status"] for row in json.loads(ended.out)] == ["done"]


def test_failures_give_the_exit_code(loradar, plan, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "loradar.training.grid.drive.cell_command", lambda folder: ["false", str(folder)]
    )
    ended = loradar("grid", plan, "-o", tmp_path / "failing")
    assert ended.code == 2
    assert "corpus_prior/A/0 failed: ended with exit code 1" in ended.err
    ended = loradar("grid", tmp_path / "none.yaml")
    assert ended.code == 2
    assert "cannot read the grid" in ended.err
