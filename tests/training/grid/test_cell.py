"""One run of a grid: what it leaves, how it resumes, what it refuses."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from loradar.errors import InputError
from loradar.evaluation.compare.runs import CELL, FAILED, METRICS, SCORES, SUITE, find_runs
from loradar.evaluation.scorefile import read_scores
from loradar.evaluation.suites.mini import judged, mini_report
from loradar.files import write_json
from loradar.training.grid import cell as cell_module
from loradar.training.grid.cell import BUSY, main, run_cell
from loradar.training.grid.lock import locked
from loradar.training.grid.plan import Cell, read_grid


@pytest.fixture
def place(grid_values, write_grid, tmp_path):
    """Lay out the grid; give the folder of one of its runs."""

    def lay(variant: str, fold: str = "A", **changes):
        cells = read_grid(write_grid(grid_values | changes))
        (cell,) = (c for c in cells if (c.variant, c.fold, c.seed) == (variant, fold, 0))
        folder = cell.folder(tmp_path / "runs")
        folder.mkdir(parents=True)
        write_json(folder / CELL, cell.to_dict())
        return folder

    return lay


def _again(folder):
    """The report that the score file gives."""
    table = read_scores(folder / SCORES)
    return mini_report(table, "A", resamples=0)


def test_a_run_is_trained_scored_and_read_back(place, benchmark, tmp_path):
    folder = place("moe")
    assert main(folder) == 0
    assert not (folder / "checkpoints").exists()
    (run,) = find_runs([tmp_path / "runs"])
    assert (run.name, run.status, run.kind) == ("moe/A/0", "done", "train")
    assert run.report["suite"] == "mini_fold_a"
    assert run.metrics["step_seconds"] > 0
    table = read_scores(folder / SCORES)
    clips = pd.read_csv(benchmark)
    assert table["path"].tolist() == clips["path"].tolist()
    assert (table["score"].notna() == judged(clips, "A")).all()
    assert _again(folder)["matched"]["ood"] == run.report["matched"]["ood"]


def test_a_run_goes_on_where_it_stopped(place, monkeypatch):
    folder = place("full")
    run_cell(folder)
    before = json.loads((folder / SUITE).read_text())
    (folder / SUITE).unlink()
    # Trained, but not scored: no second training.
    monkeypatch.setattr(cell_module, "train", None)
    run_cell(folder)
    assert json.loads((folder / SUITE).read_text()) == before
    monkeypatch.undo()
    # Training broke off: resumed, with nothing to go on from but the recipe.
    for name in (SUITE, METRICS, "model.safetensors"):
        (folder / name).unlink()
    run_cell(folder)
    assert json.loads((folder / SUITE).read_text()) == before


def test_baselines_and_models_are_scored_alike(place, tiny_model, benchmark):
    folder = place("corpus_prior", baselines=["corpus_prior", "trivial_features", "lfcc_gmm"])
    assert main(folder) == 0
    assert _again(folder)["matched"]["ood_average"]["within_corpus_auc"] == 0.5
    folder = place("tiny", models={"tiny": str(tiny_model)})
    assert main(folder) == 0
    scores = read_scores(folder / SCORES)["score"]
    assert np.isfinite(scores[judged(pd.read_csv(benchmark), "A")]).all()
    assert not (folder / METRICS).exists()
    assert (tiny_model / "checkpoints").exists()


def test_clips_that_are_judged_may_not_be_trained_on(place, grid_values):
    folder = place("full", overrides=[])
    assert main(folder) == 2
    reason = json.loads((folder / FAILED).read_text())["reason"]
    assert "clips that the suite judges are in data.train" in reason
    assert not (folder / "recipe.yaml").exists()


def test_inner_folds_keep_sealed_what_tests(place, grid_values, benchmark):
    folds = {"A": {"suite": "mini_inner_a_gan-vocoder", "values": {"rank": "1"}}}
    folder = place("full", folds=folds)
    assert main(folder) == 2
    reason = json.loads((folder / FAILED).read_text())["reason"]
    assert "may not choose the checkpoint" in reason
    last = [*grid_values["overrides"], "training.best_metric=last"]
    shutil.rmtree(folder)
    folder = place("full", folds=folds, overrides=[*last[1:], "data.train.group=[human, codec-lm]"])
    assert main(folder) == 2
    assert "keeps sealed" in json.loads((folder / FAILED).read_text())["reason"]
    shutil.rmtree(folder)
    folder = place("full", folds=folds, overrides=last)
    assert main(folder) == 0
    scored = read_scores(folder / SCORES)["score"].notna()
    clips = pd.read_csv(benchmark)
    assert set(clips.loc[scored, "group"]) == {"human", "gan-vocoder"}
    assert "eval" not in set(clips.loc[scored, "split"])
    report = json.loads((folder / SUITE).read_text())["matched"]
    assert report["id"] is None
    assert report["ood"]["gan-vocoder"]["cross_entropy"] > 0
    metrics = json.loads((folder / METRICS).read_text())
    assert metrics["dev_cross_entropy"] > 0
    assert len(metrics["encoder_sha256"]) == len(metrics["recipe_sha256"]) == 64


def test_faults_are_recorded(place, monkeypatch, capsys):
    folder = place("corpus_prior")

    def broken(*_: object) -> None:
        raise ZeroDivisionError("two\nlines")

    monkeypatch.setitem(cell_module.BASELINES, "corpus_prior", broken)
    assert main(folder) == 1
    assert json.loads((folder / FAILED).read_text())["reason"] == "ZeroDivisionError: two lines"
    assert "Traceback" in capsys.readouterr().err
    (folder / FAILED).unlink()
    with locked(folder):
        assert main(folder) == BUSY
    assert not (folder / FAILED).exists()


def test_runs_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match="no such folder of runs"):
        find_runs([tmp_path / "none"])
    with pytest.raises(InputError, match="holds no runs"):
        find_runs([tmp_path])
    folder = tmp_path / "one" / "x" / "A" / "0"
    folder.mkdir(parents=True)
    (folder / CELL).write_text("{}")
    with pytest.raises(InputError, match="not the description of a run"):
        find_runs([tmp_path / "one"])
    (folder / CELL).write_text("[")
    with pytest.raises(InputError, match="cannot be read"):
        find_runs([tmp_path / "one"])
    cell = Cell("x", "A", 0, "model", "mini_fold_a", "t.csv")
    write_json(folder / CELL, cell.to_dict())
    with pytest.raises(InputError, match="rename a variant"):
        find_runs([tmp_path / "one", tmp_path / "one" / "runs.csv"])
