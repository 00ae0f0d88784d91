"""Comparing variants: plain means, paired draws, and what is left out."""

import shutil

import numpy as np
import pandas as pd
import pytest

from loradar.errors import InputError
from loradar.evaluation.compare.compare import _ratio, compare_runs
from loradar.evaluation.compare.draws import draw_runs
from loradar.evaluation.compare.runs import FAILED, RUNS, SCORES, SUITE, find_runs, runs_frame
from loradar.evaluation.scorefile import read_scores, write_scores
from loradar.evaluation.suites.mini import GROUPS
from loradar.files import write_json


def _compare(grid, **options):
    return compare_runs(find_runs([grid]), **{"resamples": 60, **options})


def test_means_weigh_each_group_of_each_fold_and_seed_alike(grid):
    found = _compare(grid)
    frame = runs_frame(find_runs([grid]), grid)
    groups = [f"ood_{group}" for group in GROUPS]
    full = frame[frame["variant"] == "full"]
    each = full[groups].to_numpy(float)
    assert np.isfinite(each).sum() == 3 * 7
    block = found["variants"]["full"]
    assert block["ood_average"]["mean"] == pytest.approx(np.nanmean(each))
    assert block["ood_average"]["by_seed"] == pytest.approx(
        [np.nanmean(full.loc[full["seed"] == seed, groups]) for seed in range(3)]
    )
    assert block["ood_average"]["seed_sd"] == pytest.approx(
        np.std(block["ood_average"]["by_seed"], ddof=1)
    )
    assert block["id_eer"]["mean"] == pytest.approx(full["id_eer"].mean())
    assert block["ood"]["diffusion"]["mean"] == pytest.approx(np.nanmean(full["ood_diffusion"]))
    assert block["step_seconds"] == 1.25
    assert block["trained_parameters"] == 1000
    assert found["variants"]["corpus_prior"]["trained_parameters"] is None
    for variant in found["variants"].values():
        for figure in (variant["id_eer"], variant["ood_average"], *variant["ood"].values()):
            assert 0 <= figure["low"] <= figure["high"] <= 1
        assert variant["ood_average"]["low"] < variant["ood_average"]["mean"]
        assert variant["ood_average"]["mean"] < variant["ood_average"]["high"]


def test_differences_are_paired(grid):
    found = _compare(grid, main="full")
    # lora gives the very scores of full: no draw may tell them apart, however wide each one's own.
    same = found["over"]["lora"]
    assert (same["ratio"], same["low"], same["high"]) == (1, 1, 1)
    assert (same["difference"], same["difference_low"], same["difference_high"]) == (0, 0, 0)
    assert not same["holds"]
    assert (
        found["variants"]["full"]["ood_average"]["high"]
        > 1.1 * (found["variants"]["full"]["ood_average"]["low"])
    )


def test_a_gain_that_is_there_everywhere_holds(grid):
    found = _compare(grid)
    assert found["main"] == "moe_lora"
    assert list(found["over"]) == ["corpus_prior", "full", "lora"]
    against = found["over"]["full"]
    ours, theirs = (found["variants"][name]["ood_average"]["mean"] for name in ("moe_lora", "full"))
    assert against["ratio"] == pytest.approx(ours / theirs)
    assert against["difference"] == pytest.approx(ours - theirs)
    assert against["low"] < against["ratio"] < against["high"] < 1
    assert against["difference_high"] < 0
    assert against["ood_pair_disjoint"]["difference"] < 0
    assert against["within_corpus_auc_difference"] > 0
    assert against["holds"]
    # And the same, seen from the other side, does not.
    back = _compare(grid, main="full")["over"]["moe_lora"]
    assert back["ratio"] == pytest.approx(1 / against["ratio"])
    assert not back["holds"]


def test_draws_repeat_with_the_seed(grid):
    one, same, other = (_compare(grid, seed=seed)["over"]["full"]["low"] for seed in (0, 0, 1))
    assert one == same != other
    by_speaker = _compare(grid, clusters="speaker")
    assert by_speaker["clusters"] == "speaker"
    assert by_speaker["over"]["full"]["low"] != one


def test_a_draw_weighs_clips_as_the_report_does(grid):
    runs = find_runs([grid])[:2]
    drawn, by_clips = draw_runs(runs, resamples=40)
    assert by_clips
    for each in drawn:
        for part, rate in each.rates.items():
            values = each.draws[part]
            assert np.nanmin(values) <= rate <= np.nanmax(values)


def test_without_clip_scores_seeds_alone_vary(grid):
    with_clips = _compare(grid)
    for path in grid.glob(f"*/*/*/{SCORES}"):
        path.unlink()
    found = _compare(grid)
    assert found["clusters"] is None
    full, before = (c["variants"]["full"]["ood_average"] for c in (found, with_clips))
    assert full["mean"] == before["mean"]
    assert min(full["by_seed"]) <= full["low"] < full["high"] <= max(full["by_seed"])
    assert found["variants"]["corpus_prior"]["ood_average"]["low"] is None
    assert found["over"]["corpus_prior"]["low"] is not None


def test_seeds_that_are_not_done_everywhere_do_not_count(grid):
    shutil.rmtree(grid / "full" / "B" / "2")
    (grid / "moe_lora" / "A" / "0" / SUITE).unlink()
    write_json(grid / "moe_lora" / "A" / "0" / FAILED, {"reason": "no memory"})
    shutil.rmtree(grid / "lora" / "A")
    found = _compare(grid)
    assert found["variants"]["full"]["seeds"] == [0, 1]
    assert found["variants"]["moe_lora"]["seeds"] == [1, 2]
    assert found["over"]["full"]["seeds"] == [1]
    assert found["over"]["corpus_prior"]["seeds"] == [1, 2]
    assert "lora" not in found["variants"]
    assert "moe_lora/A/0: failed (no memory)" in found["left_out"]
    assert "full, seed 2: not done on B" in found["left_out"]
    assert "lora, seed 0: not done on A" in found["left_out"]
    assert _compare(grid, folds=["B"])["variants"]["lora"]["seeds"] == [0, 1, 2]
    shutil.rmtree(grid / "moe_lora" / "B" / "1")
    assert _compare(grid)["over"]["full"]["ratio"] is None  # no seed in common
    assert not _compare(grid)["over"]["full"]["holds"]


def test_draws_without_an_error_on_either_side_count_as_equal():
    zero, some = np.zeros(4), np.array([0.0, 0.0, 0.2, 0.4])
    block = _ratio((np.zeros(1), zero), (np.array([0.1]), some), True)
    assert (block["ratio"], block["high"]) == (0, 1)
    assert block["difference_high"] == pytest.approx(0)
    # An error against none has no ratio: then there is no interval, rather than a rosy one.
    block = _ratio((np.array([0.1]), some), (np.zeros(1), zero), True)
    assert block["ratio"] is block["low"] is block["high"] is None
    assert block["difference"] == pytest.approx(0.1)


def test_mistakes_are_told(grid, tmp_path):
    with pytest.raises(InputError, match="no fold 'C'"):
        _compare(grid, folds=["C"])
    with pytest.raises(InputError, match="no complete variant 'best'"):
        _compare(grid, main="best")
    with pytest.raises(InputError, match="no column 'sentence'"):
        _compare(grid, clusters="sentence")
    path = grid / "full" / "A" / "0" / SCORES
    table = read_scores(path)
    write_scores(path, table.assign(score=-table["score"]))
    with pytest.raises(InputError, match="does not give the figures of the report"):
        _compare(grid)
    write_scores(path, table.iloc[1:])
    with pytest.raises(InputError, match="another table of clips"):
        _compare(grid)
    for path in grid.glob(f"*/*/*/{SUITE}"):
        path.unlink()
    with pytest.raises(InputError, match="no variant is done"):
        _compare(grid)


def test_runs_come_in_the_order_of_their_table(grid):
    names = [run.name for run in find_runs([grid])]
    assert names == sorted(names)
    order = [f"moe_lora/B/{seed}" for seed in (2, 0)]
    pd.DataFrame({"folder": order}).to_csv(grid / RUNS, index=False)
    assert [run.name for run in find_runs([grid / RUNS])][:3] == [*order, "corpus_prior/A/0"]
