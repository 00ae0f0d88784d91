"""Scores of what each model of a leave-one-out grid never heard."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from loradar.corpora.manifest import read_manifest
from loradar.evaluation.scorefile import read_scores
from loradar.evaluation.suites.mini import GROUPS, HUMAN


@pytest.fixture(scope="module")
def crossfit(tool):
    return tool("crossfit_scores")


@pytest.fixture
def benchmark(tiny_corpus, tmp_path):
    """The tiny corpus with groups and splits as the mini benchmark has them."""
    table = read_manifest(tiny_corpus).table
    real = (table["label"] == "bonafide").to_numpy()
    turns = np.arange(len(table))
    table["group"] = np.where(real, HUMAN, np.array(GROUPS, object)[turns % len(GROUPS)])
    table["split"] = np.array(["train", "dev", "eval"], object)[turns // 2 % 3]
    table["matched"], table["pair_id"] = "yes", ""
    table.loc[~real & (turns % 4 < 2), "speaker"] = ""
    table.to_csv(tmp_path / "table.csv", index=False)
    return tmp_path / "table.csv"


def test_no_eval_clip_and_nothing_a_model_heard(crossfit, benchmark, tiny_model, tmp_path):
    left_out = GROUPS[:2]
    for group in left_out:
        run = tmp_path / "grid" / "moe_lora" / group / "0"
        shutil.copytree(tiny_model, run)
        (run / "suite.json").write_text(json.dumps({"fold": f"without_{group}"}))
    out = tmp_path / "crossfit.csv"
    assert crossfit.main([str(tmp_path / "grid"), "--on", str(benchmark), "-o", str(out)]) == 0
    found = read_scores(out)
    found["path"] = found["path"].str.rpartition(":")[2]
    table = pd.read_csv(benchmark, keep_default_na=False)
    split = dict(zip(table["path"], table["split"], strict=True))
    assert found["score"].notna().all()
    assert set(found["path"].map(split)) <= {"train", "dev"}
    for group in left_out:
        mine = found[found["left_out"] == f"without_{group}"]
        assert set(mine["group"]) <= {group, HUMAN}
        human = mine[mine["group"] == HUMAN]
        assert set(human["path"].map(split)) == {"dev"}
        wanted = table[(table["group"] == group) & (table["split"] != "eval")]
        assert set(mine.loc[mine["group"] == group, "path"]) == set(wanted["path"])


def test_each_clip_counts_under_each_condition(crossfit, benchmark, tiny_model, tmp_path):
    run = tmp_path / "grid" / "moe_lora" / GROUPS[0] / "0"
    shutil.copytree(tiny_model, run)
    (run / "suite.json").write_text(json.dumps({"fold": f"without_{GROUPS[0]}"}))
    given = [str(tmp_path / "grid"), "--on", str(benchmark), "--conditions", "noise_10_db,room"]
    out = tmp_path / "crossfit.csv"
    assert crossfit.main([*given, "-o", str(out)]) == 0
    found = read_scores(out)
    sizes = found.groupby("condition").size()
    assert list(sizes.index) == ["clean", "noise_10_db", "room"]
    assert sizes.nunique() == 1
    by_clip = found.groupby(found["path"].str.rpartition(":")[2])["score"]
    assert (by_clip.nunique() == 3).all()
    # Known or not, a speaker is the same in all trials of a clip, and no two unknown ones are.
    table = pd.read_csv(benchmark, keep_default_na=False).set_index("path")["speaker"]
    clips = found["path"].str.rpartition(":")[2]
    known = clips.map(table).replace("", np.nan)
    assert list(found["speaker"]) == list(known.fillna(clips))
    assert crossfit.main([*given[:-1], "hail", "-o", str(out)]) == 2


def test_a_branch_of_the_same_fold_and_seed_stands_beside(
    crossfit, benchmark, tiny_model, tiny_cnn, tmp_path
):
    run = tmp_path / "grid" / "moe_lora" / GROUPS[0] / "0"
    shutil.copytree(tiny_model, run)
    (run / "suite.json").write_text(json.dumps({"fold": f"without_{GROUPS[0]}"}))
    shutil.copytree(tiny_cnn, tmp_path / "grid" / "cnn" / GROUPS[0] / "0")
    given = [str(tmp_path / "grid"), "--on", str(benchmark)]
    alone, joined = tmp_path / "alone.csv", tmp_path / "joined.csv"
    assert crossfit.main([*given, "-o", str(alone)]) == 0
    assert crossfit.main([*given, "--branch", "cnn=0.6", "-o", str(joined)]) == 0
    one, two = read_scores(alone), read_scores(joined)
    assert list(one["path"]) == list(two["path"])
    assert (one["score"] != two["score"]).all()
    twice = tmp_path / "twice.csv"
    beside = ["--branch", "cnn=0.6", "--branch", "cnn"]
    assert crossfit.main([*given, *beside, "-o", str(twice)]) == 0
    three = read_scores(twice)["score"] - one["score"]
    np.testing.assert_allclose(three, (two["score"] - one["score"]) / 0.6 * 1.6, atol=1e-4)
    assert crossfit.main([*given, "--branch", "none", "-o", str(joined)]) == 2


def test_eval_clips_alone_check(crossfit, benchmark):
    table = pd.read_csv(benchmark, keep_default_na=False)
    clips = crossfit.held_out(table, f"without_{GROUPS[0]}", "eval")
    assert set(clips["split"]) == {"eval"}
    assert GROUPS[0] in set(clips["group"]) <= {GROUPS[0], HUMAN}


def test_a_folder_without_runs_is_one_line(crossfit, benchmark, tmp_path, capsys):
    code = crossfit.main([str(tmp_path), "--on", str(benchmark), "-o", str(tmp_path / "x.csv")])
    assert code == 2
    assert "no finished run" in capsys.readouterr().err
    assert not (tmp_path / "x.csv").exists()
