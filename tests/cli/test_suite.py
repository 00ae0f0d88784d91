import json

import pandas as pd
import pytest

GROUPS = (
    "autoregressive-tts",
    "parallel-tts",
    "gan-vocoder",
    "wavenet-flow-vocoder",
    "diffusion",
    "istft-vocoder",
    "codec-lm",
)


BASELINES = ("corpus_prior", "trivial_features", "lfcc_gmm")


@pytest.fixture(scope="module")
def benchmark(tiny_corpus):
    """A miniature of the mini benchmark's table over the tiny clips."""
    table = pd.read_csv(tiny_corpus)
    spoof = table["label"] == "spoof"
    table["group"] = "human"
    table.loc[spoof, "group"] = [GROUPS[i % 7] for i in range(int(spoof.sum()))]
    splits = ("train", "dev", "eval")
    table.loc[spoof, "split"] = [splits[i // 7 % 3] for i in range(int(spoof.sum()))]
    table.loc[~spoof, "split"] = [splits[i % 3] for i in range(int((~spoof).sum()))]
    table["matched"] = "yes"
    table["seconds"] = 0.5  # a column that scoring writes too
    table["pair_id"] = [f"p{i}" for i in range(len(table))]
    path = tiny_corpus.parent / "benchmark.csv"
    table.to_csv(path, index=False)
    return path


def test_the_suite_sets_the_model_beside_its_baselines(loradar, tiny_model, benchmark, tmp_path):
    scores = tmp_path / "scores.csv"
    asked = ["--on", benchmark, "--suite", "mini_fold_a", "--resamples", "20"]
    ended = loradar("evaluate", tiny_model, *asked, "--json", "--save-scores", scores)
    assert ended.code == 0, ended.err
    report = json.loads(ended.out)
    assert set(report) == {"tiny", *BASELINES}
    matched = report["tiny"]["matched"]
    assert set(matched["ood"]) == set(GROUPS[3:])
    mean = sum(b["eer_tie_safe"] for b in matched["ood"].values()) / 4
    assert matched["ood_average"]["eer_tie_safe"] == pytest.approx(mean)
    # All clips of the other fold's groups are judged, and only eval clips of the own ones.
    table = pd.read_csv(scores)
    assert set(table.loc[table["group"].isin(GROUPS[3:]), "split"]) == {"train", "dev", "eval"}
    assert set(table.loc[~table["group"].isin(GROUPS[3:]), "split"]) == {"eval"}

    # A score file gives the same table as the model.
    again = loradar("evaluate", scores, *asked, "--json")
    assert again.code == 0, again.err
    found = json.loads(again.out)["scores.csv"]["matched"]["ood_average"]
    assert found["eer_tie_safe"] == pytest.approx(mean)


def test_several_models_share_a_table_and_other_breakdowns_are_refused(
    loradar, tiny_model, benchmark, tmp_path
):
    scores = tmp_path / "other.csv"
    asked = ["--on", benchmark, "--suite", "mini_fold_a", "--resamples", "0"]
    assert loradar("evaluate", tiny_model, *asked, "--save-scores", scores).code == 0
    ended = loradar("evaluate", tiny_model, scores, *asked, "--json")
    report = json.loads(ended.out)
    assert list(report) == ["tiny", "other.csv", *BASELINES]
    assert report["tiny"]["all"]["id"]["eer"] == pytest.approx(
        report["other.csv"]["all"]["id"]["eer"]
    )
    ended = loradar("evaluate", tiny_model, *asked, "--by", "speaker")
    assert ended.code == 2
    assert "--suite sets its own rows" in ended.err
    ended = loradar("evaluate", tiny_model, scores, "--on", benchmark)
    assert ended.code == 2
    assert "several only with --suite" in ended.err


def test_for_people_the_suite_is_a_table(loradar, tiny_model, benchmark):
    asked = ["--on", benchmark, "--suite", "mini_fold_b", "--resamples", "0"]
    ended = loradar("evaluate", tiny_model, *asked)
    assert ended.code == 0, ended.err
    for text in (*BASELINES, "OOD pair-disjoint", "within-corpus AUC"):
        assert text in ended.out


def test_the_suite_of_a_model_that_saw_no_labelled_clip(loradar, tiny_model, benchmark):
    asked = ["--on", benchmark, "--suite", "mini", "--resamples", "0", "--json"]
    ended = loradar("evaluate", tiny_model, *asked)
    assert ended.code == 0, ended.err
    report = json.loads(ended.out)
    assert set(report) == {"tiny"}  # the baselines would have nothing to learn from
    assert set(report["tiny"]["matched"]["ood"]) == set(GROUPS)


def test_conditions_stand_beside_the_clean_clips(loradar, tiny_model, tiny_corpus, tmp_path):
    asked = ["--on", tiny_corpus, "--resamples", "0"]
    plain = json.loads(loradar("evaluate", tiny_model, *asked, "--json").out)
    ended = loradar(
        "evaluate", tiny_model, *asked, "--conditions", "telephone,noise_10_db", "--json"
    )
    assert ended.code == 0, ended.err
    blocks = json.loads(ended.out)["by_condition"]
    assert list(blocks) == ["clean", "telephone", "noise_10_db"]
    assert blocks["clean"]["eer"] == plain["pooled"]["eer"]
    assert blocks["clean"]["over_clean"] in (1.0, None)
    table = loradar("evaluate", tiny_model, *asked, "--conditions", "gain")
    assert "gain" in table.out and "over clean" in table.out
    for wrong in (["--conditions", "rain"], ["--conditions", "gain", "--by", "attack"]):
        refused = loradar("evaluate", tiny_model, *asked, *wrong)
        assert refused.code == 2
        assert "condition" in refused.err
