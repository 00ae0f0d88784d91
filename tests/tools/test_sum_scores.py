"""Scores of several runs, added."""

import json

import numpy as np
import pandas as pd
import pytest

from loradar.evaluation.scorefile import write_scores
from loradar.evaluation.suites.mini import GROUPS, HUMAN


@pytest.fixture(scope="module")
def sums(tool):
    return tool("sum_scores")


def _run(folder, seed, shift, names=None):
    rng = np.random.default_rng(seed)
    rows = [
        {"group": group, "split": split, "label": "bonafide" if group == HUMAN else "spoof"}
        for group in (HUMAN, *GROUPS)
        for split in ("train", "dev", "eval")
        for _ in range(6)
    ]
    table = pd.DataFrame(rows).assign(attack="", speaker="", pair_id="", matched="yes")
    table["corpus"] = "c"
    table["path"] = names or [f"{k}.flac" for k in range(len(table))]
    table["score"] = rng.normal(size=len(table)) + shift * (table["group"] == HUMAN)
    write_scores(folder / "scores.csv", table)
    return folder


def test_the_sum_is_judged_on_the_fold(sums, tmp_path, capsys):
    runs = [_run(tmp_path / name, seed, 3.0) for seed, name in enumerate("ab")]
    alone, both = tmp_path / "alone", tmp_path / "both"
    assert sums.main([str(runs[0]), "--fold", "A", "-o", str(alone)]) == 0
    given = ["--scale", "1", "1", "--fold", "A", "-o", str(both)]
    assert sums.main([*map(str, runs), *given]) == 0
    one, two = (json.loads((f / "suite.json").read_text()) for f in (alone, both))
    assert one["suite"] == two["suite"] == "mini_fold_a"
    assert (
        sums.main([str(runs[0]), "--fold", "without_diffusion", "-o", str(tmp_path / "six")]) == 0
    )
    six = json.loads((tmp_path / "six" / "suite.json").read_text())
    assert six["suite"] == "mini_without_diffusion"
    assert list(six["matched"]["ood"]) == ["diffusion"]
    # Two independent hints are worth more than one.
    assert two["matched"]["ood_average"]["auc"] > one["matched"]["ood_average"]["auc"]
    printed = capsys.readouterr().out.split()
    assert printed[1] == f"{two['matched']['ood_average']['eer_tie_safe']:.4f}"
    table = sums.summed(runs, [1.0, 0.5])
    parts = [pd.read_csv(run / "scores.csv")["score"] for run in runs]
    np.testing.assert_allclose(table["score"], parts[0] + 0.5 * parts[1])


def test_what_does_not_fit_is_one_line(sums, tmp_path, capsys):
    one = _run(tmp_path / "one", 0, 1.0)
    other = _run(tmp_path / "other", 0, 1.0, names=[f"x{k}" for k in range(3 * 6 * 8)])
    out = ["--fold", "A", "-o", str(tmp_path / "out")]
    for given, reason in (
        ([str(one), str(other)], "other clips than"),
        ([str(one), "--scale", "1", "1"], "1 runs, but 2 of --scale"),
        ([str(tmp_path / "none")], "none"),
        ([str(one), "--fold", "C"], "no fold 'C'"),
    ):
        assert sums.main([*out, *given]) == 2
        told = capsys.readouterr().err
        assert reason in told and told.count("\n") == 1
    assert not (tmp_path / "out").exists()
