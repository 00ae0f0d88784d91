import json
import shutil

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


def test_too_few_clips_are_a_plain_error(loradar, tiny_model, tiny_corpus):
    ended = loradar("calibrate", tiny_model, "--on", tiny_corpus, "--where", "label=spoof")
    assert ended.code == 2
    assert "lacks a class" in ended.err
    assert len(ended.err.strip().splitlines()) <= 2
