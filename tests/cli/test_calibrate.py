import json
import shutil

import numpy as np
import pandas as pd
import soundfile as sf


def test_calibrate_writes_thresholds_that_detect_uses(
    loradar, tiny_model, tiny_corpus, tmp_path, spoken
):
    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)
    before = (model / "calibration.json").read_text()
    asked = [model, "--on", tiny_corpus, "--where", "split=*", "--json"]
    dry = loradar("calibrate", *asked, "--dry-run", "--cost", "0.05,1,10")
    assert dry.code == 0, dry.err
    (point,) = json.loads(dry.out)["operating_points"]
    assert round(point["threshold"], 3) == -0.642
    assert 0 <= point["miss"] <= 1 and point["act_dcf"] >= point["min_dcf"]
    assert (model / "calibration.json").read_text() == before
    ended = loradar("calibrate", *asked, "--right", "0.6")
    assert ended.code == 0, ended.err
    report = json.loads(ended.out)
    written = json.loads((model / "calibration.json").read_text())
    assert written == report["calibration"]
    assert written["thresholds"]["right"] == 0.6
    assert set(report["verdicts"]) == {"bonafide", "spoof", "uncertain"}
    # A model that may never say either is UNCERTAIN about everything.
    written["thresholds"] = {"bonafide": None, "spoof": None, "right": 0.9}
    (model / "calibration.json").write_text(json.dumps(written))
    clip = tmp_path / "clip.wav"
    sf.write(clip, spoken(1.0), 16_000)
    verdict = json.loads(loradar("detect", "--model", model, "--json", clip).out)
    assert verdict["verdict"] == "UNCERTAIN"
    assert verdict["reasons"] == ["weak_evidence"]


def test_a_model_learns_its_calibration_from_scores_of_models_like_it(
    loradar, tiny_model, tmp_path
):
    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)
    rng = np.random.default_rng(0)
    rows = ["path,label,speaker,score"]
    for n in range(400):
        label, centre = (("bonafide", 2.0), ("spoof", -1.0))[n % 2]
        rows.append(f"{n}.wav,{label},s{n % 40},{centre + rng.standard_normal():.4f}")
    scores = tmp_path / "scores.csv"
    scores.write_text("\n".join(rows))
    ended = loradar("calibrate", model, "--learn-on", scores, "--json")
    assert ended.code == 0, ended.err
    report = json.loads(ended.out)
    written = json.loads((model / "calibration.json").read_text())
    assert written == report["calibration"]
    # Two normal classes 3 apart, of unit variance: LLR = 3 x - 1.5.
    assert abs(written["slope"] - 3) < 0.8 and abs(written["intercept"] + 1.5) < 0.8
    assert report["verdicts"]["bonafide"]["right"] > 0.85
    asked = ["calibrate", model, "--learn-on", scores, "--check-on", scores]
    whole = json.loads(loradar(*asked, "--dry-run", "--json").out)
    assert whole["fitted"] == whole["checked"] == {"bonafide": 200, "spoof": 200}
    priced = loradar(*asked, "--cost", "0.05,1,10")
    assert priced.code == 2 and "without --cost" in priced.err
    both = loradar("calibrate", model, "--learn-on", scores, "--on", scores)
    assert both.code == 2 and "--on MANIFEST, or" in both.err


def test_a_model_is_calibrated_under_conditions_too(loradar, tiny_model, tiny_corpus, tmp_path):
    saved = tmp_path / "scores.csv"
    asked = ["calibrate", tiny_model, "--on", tiny_corpus, "--where", "split=*", "--dry-run"]
    plain = json.loads(loradar(*asked, "--json").out)
    ended = loradar(*asked, "--json", "--conditions", "telephone", "--save-scores", saved)
    assert ended.code == 0, ended.err
    report = json.loads(ended.out)
    for half in ("fitted", "checked"):
        assert report[half] == {name: 2 * count for name, count in plain[half].items()}
    trials = pd.read_csv(saved, keep_default_na=False)
    assert set(trials["condition"]) == {"clean", "telephone"}
    one = trials[trials["condition"] == "clean"]["path"].str.removeprefix("clean:")
    other = trials[trials["condition"] == "telephone"]["path"].str.removeprefix("telephone:")
    assert one.tolist() == other.tolist() and (trials["speaker"] != "").all()
    scores = trials["score"].to_numpy()
    assert not np.allclose(scores[: len(one)], scores[len(one) :])
    again = loradar("calibrate", tiny_model, "--learn-on", saved, "--dry-run", "--json")
    assert json.loads(again.out)["calibration"] == report["calibration"]


def test_conditions_want_clips(loradar, tiny_model, tiny_corpus, tmp_path):
    scores = tmp_path / "scores.csv"
    scores.write_text("path,label,speaker,score\na.wav,spoof,s,1\n")
    for model, where in ((tiny_model, ["--learn-on", scores]), (scores, [])):
        ended = loradar("calibrate", model, *where, "--conditions", "telephone")
        assert ended.code == 2 and "--on MANIFEST" in ended.err
    ended = loradar("calibrate", tiny_model, "--on", tiny_corpus, "--conditions", "tin_can")
    assert ended.code == 2 and "no condition is called 'tin_can'" in ended.err


def test_too_few_clips_are_a_plain_error(loradar, tiny_model, tiny_corpus):
    ended = loradar("calibrate", tiny_model, "--on", tiny_corpus, "--where", "label=spoof")
    assert ended.code == 2
    assert "lacks a class" in ended.err
    assert len(ended.err.strip().splitlines()) <= 2
