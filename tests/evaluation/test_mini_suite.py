"""The mini benchmark: its selections on a made-up table, its known points on the real one."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from loradar.errors import ConfigError, InputError
from loradar.evaluation.metrics import cross_entropy
from loradar.evaluation.suites.baselines import (
    average_spectrum,
    corpus_prior,
    fit_logistic,
    trivial,
)
from loradar.evaluation.suites.mini import (
    FOLDS,
    INNER,
    SUITES,
    fold_of,
    judged,
    mini_report,
    ood_groups,
    parts,
    sealed,
)
from loradar.evaluation.table import NONE, mini_frame, percent

SELECTIONS = {
    f"{name}{suffix}"
    for name in ("matched", "all", "pair_disjoint")
    for suffix in ("", "_without_lj")
}


def _clips() -> pd.DataFrame:
    """Every group in every split, twice matched and once not; speakers LJ and x in turn."""
    rows = []
    for group in ("human", *FOLDS["A"], *FOLDS["B"]):
        for split in ("train", "dev", "eval"):
            for number in range(6):
                rows.append(
                    {
                        "path": f"{group}/{split}/{number}.flac",
                        "label": "bonafide" if group == "human" else "spoof",
                        "group": group,
                        "corpus": "c1" if number % 2 else "c2",
                        "speaker": "LJ" if number in (0, 3) else "x",
                        "pair_id": None if number == 5 else f"{split}-{number}",
                        "matched": "no" if number < 2 else "yes",
                        "split": split,
                    }
                )
    table = pd.DataFrame(rows)
    rng = np.random.default_rng(0)
    return table.assign(score=rng.normal(size=len(table)) + (table["label"] == "bonafide"))


def test_parts_are_those_of_the_design() -> None:
    clips = _clips()
    part = parts(clips, "A")
    assert set(clips.loc[part["train"], "group"]) == {"human", *FOLDS["A"]}
    assert set(clips.loc[part["train"], "split"]) == {"train"}
    assert set(clips.loc[part["dev"], "split"]) == {"dev"}
    assert set(clips.loc[part["id"], "group"]) == set(FOLDS["A"])
    assert set(clips.loc[part["id"] | part["human"], "split"]) == {"eval"}
    assert set(clips.loc[part["ood"], "group"]) == set(FOLDS["B"])
    assert part["ood"].sum() == 4 * 18  # every split
    assert ood_groups("B") == FOLDS["A"]
    assert (judged(clips, "A") == part["human"] | part["id"] | part["ood"]).all()
    with pytest.raises(ConfigError, match="no fold 'C'"):
        parts(clips, "C")
    with pytest.raises(InputError, match="part 'dev'"):
        parts(clips[clips["split"] != "dev"], "A")
    with pytest.raises(InputError, match="no column 'matched'"):
        parts(clips.drop(columns="matched"), "A")


def test_inner_folds_see_neither_eval_nor_the_other_fold() -> None:
    clips = _clips()
    for name, (outer, out) in INNER.items():
        part = parts(clips, name)
        assert set(clips.loc[part["train"], "group"]) == {"human", *FOLDS[outer]} - {out}
        assert set(clips.loc[part["human"], "split"]) == {"dev"}
        assert set(clips.loc[part["ood"], "group"]) == {out}
        assert set(clips.loc[part["ood"], "split"]) == {"train", "dev"}
        shut = sealed(clips, name)
        assert not (shut & (judged(clips, name) | part["train"])).any()
        assert (
            shut == ((clips["split"] == "eval") | ~clips["group"].isin(["human", *FOLDS[outer]]))
        ).all()
    report = mini_report(clips, name, resamples=0)
    assert report["matched"]["id"] is None
    assert list(report["matched"]["ood"]) == [out]
    assert not sealed(clips, "A").any()


def test_cross_entropy_is_that_of_log_odds() -> None:
    assert cross_entropy([0.0], [0.0, 0.0]) == pytest.approx(np.log(2))
    real, fake = np.array([1.0, -2.0, 0.3]), np.array([-1.0, 0.5])
    byhand = (-np.log(1 / (1 + np.exp(-real))).mean() - np.log(1 / (1 + np.exp(fake))).mean()) / 2
    assert cross_entropy(real, fake) == pytest.approx(byhand)
    assert cross_entropy([1e4], [-1e4]) == 0
    with pytest.raises(InputError):
        cross_entropy([], [0.0])


def test_every_fold_has_a_suite() -> None:
    assert sorted(SUITES.values()) == sorted(FOLDS)
    assert fold_of("mini_without_codec-lm") == "without_codec-lm"
    with pytest.raises(ConfigError, match="no suite 'mini_c'"):
        fold_of("mini_c")


def test_a_fold_that_leaves_one_group_out() -> None:
    clips = _clips()
    part = parts(clips, "without_diffusion")
    assert set(clips.loc[part["ood"], "group"]) == {"diffusion"}
    trained = {*FOLDS["A"], *FOLDS["B"]} - {"diffusion"}
    assert set(clips.loc[part["train"], "group"]) == {"human", *trained}
    assert (
        mini_report(clips, "without_diffusion", resamples=0)["matched"]["ood_average"]["groups"]
        == 1
    )


def test_the_fold_that_trains_on_no_group() -> None:
    clips = _clips()
    part = parts(clips, "none")
    assert not part["train"].any() and not part["dev"].any() and not part["id"].any()
    assert part["ood"].sum() == 7 * 18
    report = mini_report(clips, "none", resamples=0)
    assert report["matched"]["id"] is None
    assert set(report["matched"]["ood"]) == {*FOLDS["A"], *FOLDS["B"]}
    # Nothing was trained on, so every pair is disjoint.
    assert report["pair_disjoint"] == report["matched"]
    (row,) = mini_frame({"system": report}).to_dict("records")
    assert row["ID"] == NONE
    assert row["OOD"] == percent(report["matched"]["ood_average"]["eer_tie_safe"], 1)


def test_report_counts_the_clips_of_each_selection() -> None:
    report = mini_report(_clips(), "A", resamples=20)
    assert set(report) == {"fold", "headline", *SELECTIONS}
    assert report["headline"] == "matched"
    counts = {
        name: (
            report[name]["id"]["bonafide"],
            report[name]["id"]["spoof"],
            [block["spoof"] for block in report[name]["ood"].values()],
        )
        for name in SELECTIONS
    }
    assert counts["matched"] == (4, 12, [12] * 4)
    assert counts["all"] == (6, 18, [18] * 4)
    assert counts["matched_without_lj"] == (3, 9, [9] * 4)
    assert counts["all_without_lj"] == (4, 12, [12] * 4)
    # Of a group's 12 matched clips, train and dev pairs 2 to 4 are known; those without one stay.
    assert counts["pair_disjoint"] == (4, 12, [6] * 4)
    assert counts["pair_disjoint_without_lj"] == (3, 9, [5] * 4)
    average = report["matched"]["ood_average"]
    assert average["groups"] == 4
    blocks = report["matched"]["ood"].values()
    for name in ("eer", "eer_tie_safe", "auc", "within_corpus_auc"):
        assert average[name] == pytest.approx(np.mean([block[name] for block in blocks]))
    assert average["eer_ci"][0] <= average["eer_tie_safe"] <= average["eer_ci"][1]


def test_train_and_dev_may_be_unscored_but_evaluation_may_not() -> None:
    clips = _clips()
    part = parts(clips, "B")
    clips.loc[part["train"] | part["dev"], "score"] = np.nan
    mini_report(clips, "B", resamples=0)
    clips.loc[np.flatnonzero(part["id"])[:2], "score"] = np.nan
    with pytest.raises(InputError, match="2 of 84 evaluation clips of fold B have no score"):
        mini_report(clips, "B", resamples=0)


def test_a_group_without_clips_leaves_the_average_and_the_count_says_so() -> None:
    clips = _clips()
    clips.loc[clips["group"] == "codec-lm", "matched"] = "no"
    report = mini_report(clips, "A", resamples=5)
    assert set(report["matched"]["ood"]) == set(FOLDS["B"]) - {"codec-lm"}
    assert report["matched"]["ood_average"]["groups"] == 3
    assert report["all"]["ood_average"]["groups"] == 4


def test_frame_sets_systems_side_by_side() -> None:
    clips = _clips()
    reports = {
        "system": mini_report(clips, "A", resamples=5),
        "corpus prior": mini_report(clips.assign(score=corpus_prior(clips, "A")), "A", resamples=5),
    }
    frame = mini_frame(reports)
    assert frame["system"].tolist() == ["system", "corpus prior"]
    average = reports["system"]["matched"]["ood_average"]
    assert frame.loc[0, "OOD"] == f"{100 * average['eer_tie_safe']:.1f}"
    assert frame.loc[1, "within-corpus AUC"] == "0.500"
    assert set(FOLDS["B"]) < set(frame.columns)


def test_logistic_regression_is_at_its_minimum_and_separates() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(200, 3))
    real = features[:, 0] + 0.5 * rng.normal(size=200) > 0.8
    weights, bias = fit_logistic(features, real, 0.01)
    assert weights[0] > 5 * abs(weights[1:]).max()

    def loss(slope: np.ndarray, shift: float) -> float:
        logits = features @ slope + shift
        cost = np.logaddexp(0, np.where(real, -logits, logits))
        return (cost[real].mean() + cost[~real].mean()) / 2 + 0.005 * slope @ slope

    best = loss(weights, bias)
    for index in range(3):
        for step in (-0.05, 0.05):
            assert loss(weights + step * np.eye(3)[index], bias) > best
    assert loss(weights, bias + 0.05) > best
    assert loss(weights, bias - 0.05) > best
    with pytest.raises(InputError, match="both classes"):
        fit_logistic(features, np.ones(200, dtype=bool), 0.1)


def test_average_spectrum_knows_the_tone_but_not_level_or_band_edges() -> None:
    time = np.arange(16_000) / 16_000
    noise = 1e-3 * np.random.default_rng(0).normal(size=time.size)
    tone = np.sin(2 * np.pi * 1000 * time) + noise
    spectrum = average_spectrum(tone)
    assert spectrum.shape == (222,)
    # Bins are 31.25 Hz wide and start at 93.75 Hz.
    assert 93.75 + 31.25 * np.argmax(spectrum) == pytest.approx(1000, abs=31.25)
    np.testing.assert_allclose(average_spectrum(3 * tone), spectrum, atol=1e-6)
    outside = 0.5 * np.sin(2 * np.pi * 7500 * time) + 0.3
    assert np.abs(average_spectrum(tone + outside) - spectrum).max() < 1
    assert np.isfinite(average_spectrum(np.zeros(10))).all()
    with pytest.raises(InputError, match=r"x\.flac: expected one channel"):
        average_spectrum(np.zeros((2, 100)), "x.flac")


def test_trivial_baseline_finds_a_spectral_difference() -> None:
    clips = _clips()

    def read(path: str) -> np.ndarray:
        rng = np.random.default_rng(list(path.encode()))
        noise = rng.normal(size=4000)
        return noise if path.startswith("human") else np.cumsum(noise)

    report = mini_report(clips.assign(score=trivial(clips, "A", read)), "A", resamples=0)
    assert report["matched"]["ood_average"]["eer"] == 0


def test_corpus_prior_is_the_smoothed_share() -> None:
    clips = _clips()
    clips.loc[clips["split"] == "eval", "corpus"] = "unseen"
    score = corpus_prior(clips, "A")
    expected = {"c1": np.log(4 / 10), "c2": np.log(4 / 10), "unseen": 0.0}
    np.testing.assert_allclose(score, clips["corpus"].map(expected))


def _labelled(shared: Path) -> pd.DataFrame:
    path = shared / "speech/labelled.csv"
    if not path.is_file():
        pytest.skip("the labelled speech is not here")
    return pd.read_csv(path)


@pytest.mark.parametrize(("fold", "rate"), [("A", 0.42), ("B", 0.39)])
def test_corpus_prior_meets_its_known_point(shared: Path, fold: str, rate: float) -> None:
    clips = _labelled(shared)
    report = mini_report(clips.assign(score=corpus_prior(clips, fold)), fold, resamples=0)
    average = report["matched"]["ood_average"]
    assert average["eer_tie_safe"] == pytest.approx(rate, abs=0.005)
    assert average["within_corpus_auc"] == 0.5
    assert report["matched"]["id"]["bonafide"] == 91
    assert report["all"]["id"]["bonafide"] == 153


@pytest.mark.parametrize("fold", ["A", "B"])
def test_trivial_baseline_is_poor_on_matched_clips_and_better_on_all(
    shared: Path, fold: str
) -> None:
    clips = _labelled(shared)
    speech = shared / "speech"

    def read(path: str) -> np.ndarray:
        return soundfile.read(io.BytesIO((speech / path).read_bytes()), dtype="float32")[0]

    report = mini_report(clips.assign(score=trivial(clips, fold, read)), fold, resamples=0)
    matched, every = (report[name]["ood_average"]["eer"] for name in ("matched", "all"))
    assert 0.40 < matched < 0.55
    assert 0.33 < every < 0.44
    assert every < matched - 0.05
