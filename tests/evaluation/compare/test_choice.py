"""Choosing on inner folds: means over groups and seeds, one winner a fold and a method."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from loradar.cli.app import app
from loradar.errors import ConfigError, InputError
from loradar.evaluation.compare.choice import choice_text, choose, is_inner
from loradar.evaluation.compare.runs import CELL, METRICS, SUITE, find_runs
from loradar.evaluation.suites.mini import FOLDS, INNER, judged, mini_report
from loradar.files import write_json

SKILLS = {"full.low": 0.5, "full.high": 0.2, "moe_lora": 1.5, "corpus_prior": 9.0}


@pytest.fixture(scope="module")
def inner(clips, tmp_path_factory):
    """Runs of all inner folds of fold A, of two seeds, at the skills above."""
    root = tmp_path_factory.mktemp("inner")
    for name, (outer, out) in INNER.items():
        for variant, skill in SKILLS.items() if outer == "A" else ():
            kind = "baseline" if variant == "corpus_prior" else "train"
            for seed in range(1 if kind == "baseline" else 2):
                folder = root / variant / out / str(seed)
                folder.mkdir(parents=True)
                real = (clips["label"] == "bonafide").to_numpy()
                noise = np.random.default_rng([seed, len(out)]).normal(size=len(clips)) / 5
                score = np.where(judged(clips, name), noise + skill * (2 * real - 1), np.nan)
                cell = {"variant": variant, "fold": out, "seed": seed, "kind": kind}
                write_json(folder / CELL, cell)
                write_json(folder / SUITE, mini_report(clips.assign(score=score), name))
                write_json(folder / METRICS, {"recipe_sha256": "abc", "encoder": "e"})
    return root


def test_the_lowest_mean_cross_entropy_wins(inner):
    runs = find_runs([inner])
    assert is_inner(runs)
    choice = choose(runs)
    block = choice["folds"]["A"]
    assert list(choice["folds"]) == ["A"]
    assert block["seeds"] == [0, 1]
    assert block["groups"] == list(FOLDS["A"])
    # A baseline may lie lower, but it is nothing to choose.
    assert next(iter(block["variants"])) == "corpus_prior"
    assert block["winner"] == "moe_lora"
    assert block["winners"] == {"moe_lora": "moe_lora", "full": "full.low"}
    costs = [
        run.report["matched"]["ood"][out]["cross_entropy"]
        for run in runs
        if run.variant == "full.high"
        for out in run.report["matched"]["ood"]
    ]
    each = block["variants"]["full.high"]
    assert len(costs) == 6
    assert each["cross_entropy"] == pytest.approx(np.mean(costs))
    assert np.mean(list(each["by_group"].values())) == pytest.approx(each["cross_entropy"])
    assert each["behind"] > 2 * each["behind_error"] > 0
    assert each["recipe_sha256"] == "abc"
    text = choice_text(choice, "A").set_index("variant")["chosen"]
    assert dict(text)["full.low"] == "best full"
    assert dict(text)["moe_lora"] == "best"


def test_compare_prints_the_choice(inner, tmp_path):
    runner = CliRunner()
    ended = runner.invoke(app, ["compare", str(inner), "-o", str(tmp_path)])
    assert ended.exit_code == 0, ended.output
    assert "Choice for fold A: moe_lora" in ended.output
    assert "**moe_lora**" in (tmp_path / "choice.md").read_text()
    ended = runner.invoke(app, ["compare", str(inner), "--json", "--choose-on", "all"])
    assert json.loads(ended.stdout)["on"] == "all"
    ended = runner.invoke(app, ["compare", str(inner), "--choose-on", "some"])
    assert isinstance(ended.exception, ConfigError)


def test_only_what_is_done_on_all_groups_counts(inner, grid):
    runs = find_runs([inner])
    fewer = [run for run in runs if run.name != "moe_lora/gan-vocoder/1"]
    choice = choose(fewer)
    assert choice["folds"]["A"]["seeds"] == [0]
    assert "moe_lora, fold A" in choice["left_out"][0]
    with pytest.raises(InputError, match="no seed is done"):
        choose([run for run in runs if run.fold != "gan-vocoder"])
    assert not is_inner(find_runs([grid]))
    with pytest.raises(InputError, match="by themselves"):
        is_inner(runs + find_runs([grid]))
