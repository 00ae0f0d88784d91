"""The growth experiment's draws and figures."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest


@pytest.fixture(scope="module")
def growth(tool):
    return tool("growth_experiment")


@pytest.fixture
def table():
    rows = [("x", "train", f"p{k // 3}") for k in range(60)]
    rows += [("x", "eval", f"p{k}") for k in range(40)] + [("y", "train", "p0")]
    table = pd.DataFrame(rows, columns=["group", "split", "pair_id"])
    return table.assign(path=[f"{k}.flac" for k in range(len(table))])


def test_draws_are_pair_disjoint_train_clips_of_the_group(growth, table):
    seen = set()
    for split in range(4):
        new, tests = growth.drawn(table, "x", split)
        assert set(new["split"]) == {"train"} and set(new["group"]) == {"x"} == set(tests["group"])
        assert 48 <= len(new) <= 50
        assert not set(new["pair_id"]) & set(tests["pair_id"])
        dropped = table[(table["group"] == "x") & table["pair_id"].isin(new["pair_id"])]
        assert len(tests) == 100 - len(dropped)
        seen.add(tuple(new["path"]))
    assert len(seen) == 4
    assert growth.drawn(table, "x", 1)[0].equals(growth.drawn(table, "x", 1)[0])


def test_at_most_200_clips(growth, table):
    many = pd.concat([table[table["split"] == "train"]] * 10, ignore_index=True)
    many = many.assign(pair_id=[f"q{k}" for k in range(len(many))])
    assert len(growth.drawn(many, "x", 0)[0]) == 200


def test_figures_by_hand(growth):
    clips = pd.DataFrame(
        {
            "group": ["human"] * 4 + ["x"] * 2 + ["y"] * 2 + ["z"],
            "matched": ["yes", "yes", "no", "no", "yes", "yes", "yes", "yes", "no"],
        }
    )
    scores = np.array([2.0, 1.0, -5.0, -5.0, -1.0, -2.0, 3.0, 4.0, -9.0])
    found = growth.judge(clips, scores, "x")
    matched = found["matched"]
    assert matched["new_eer"] == 0.0 and matched["old_eer"] == 1.0
    real = np.log1p(np.exp([-2.0, -1.0])).mean()
    assert matched["new_cross_entropy"] == pytest.approx(
        (real + np.log1p(np.exp([-1.0, -2.0])).mean()) / 2
    )
    assert matched["old_cross_entropy"] == pytest.approx(
        (real + np.log1p(np.exp([3.0, 4.0])).mean()) / 2
    )
    # Of all clips z counts too, which is below every human one.
    assert found["all"]["old_eer"] == 0.5


def _run(group, split, before, after, way="grow"):
    figures = [{"old_eer": v, "old_cross_entropy": v, "new_eer": 0.3} for v in (before, after)]
    return {
        "group": group,
        "split": split,
        "way": way,
        "before": {"matched": figures[0], "all": figures[0]},
        "after": {"matched": figures[1], "all": figures[1]},
        "clips": {"training": {"new attack": 20}},
        "seconds": 100.0,
    }


def test_each_group_counts_the_same(growth):
    done = [_run("x", k, 0.1, 0.1) for k in range(4)] + [_run("y", 0, 0.1, 0.2)]
    found = growth.changes(done, "grow", "matched", "old_eer")
    assert found["before"] == pytest.approx(0.1) and found["after"] == pytest.approx(0.15)
    assert found["low"] == pytest.approx(0) and found["high"] == pytest.approx(0.1)
    text = growth.table_of(done)
    assert "| grow | x | 4 | 20 | 30.0 → 30.0 | 10.0 → 10.0 |" in text
    assert "- grow, old groups, points of EER: +5.00 (0.00 to 10.00) on matched clips" in text


def test_an_unknown_way_is_refused(growth, tmp_path, capsys):
    assert growth.main(["runs", "--on", "t.csv", "-o", str(tmp_path), "--ways", "half"]) == 2
    assert "half: there are grow, everything" in capsys.readouterr().err


def test_the_page_shows_the_runs_in_the_tree(growth):
    root = Path(__file__).parents[2]
    table = growth.table_of(growth.runs(root / "results" / "growth"))
    assert table.strip() in (root / "docs" / "experts.md").read_text(encoding="utf-8")
