"""Commands on the embedded detector, by default and by name; a stand-in takes its place."""

import json

import pandas as pd
import pytest


@pytest.fixture
def clip(tiny_corpus):
    return tiny_corpus.parent / "00.wav"


@pytest.mark.parametrize("given", [[], ["--model", "loradar/embedded"]])
def test_detect(loradar, embedded, clip, given):
    ended = loradar("detect", clip, "--json", *given)
    assert ended.code == 0, ended.err
    verdict = json.loads(ended.out)
    assert verdict["model"] == "loradar/embedded"
    assert verdict["llr"] == pytest.approx(verdict["score"], abs=1e-5)


def test_score_and_evaluate_agree(loradar, embedded, tiny_corpus, tmp_path):
    assert loradar("score", tiny_corpus, "-o", tmp_path / "scores.csv").code == 0
    rest = ["--where", "split=eval", "--resamples", "0", "--json"]
    of_scores = loradar("evaluate", tmp_path / "scores.csv", "--on", tiny_corpus, *rest)
    of_model = loradar("evaluate", "loradar/embedded", "--on", tiny_corpus, *rest)
    assert of_model.code == 0, of_model.err
    assert json.loads(of_model.out)["pooled"]["eer"] == pytest.approx(
        json.loads(of_scores.out)["pooled"]["eer"]
    )
    conditions = ["--conditions", "clean,gain", "--where", "split=eval", "--resamples", "0"]
    ended = loradar("evaluate", "loradar/embedded", "--on", tiny_corpus, *conditions)
    assert ended.code == 0, ended.err
    assert "loradar/embedded" in ended.out


def test_evaluate_needs_clips_for_it(loradar, embedded):
    ended = loradar("evaluate", "loradar/embedded")
    assert ended.code == 2
    assert "--on MANIFEST" in ended.err


def test_calibrate_makes_a_copy_and_leaves_the_package(loradar, embedded, tiny_corpus, tmp_path):
    before = {path: path.read_bytes() for path in embedded.rglob("*") if path.is_file()}
    asked = ["--on", tiny_corpus, "--where", "split=*", "--right", "0.6", "--json"]
    for model in ("loradar/embedded", embedded / "detector"):
        refused = loradar("calibrate", model, *asked)
        assert refused.code == 2
        assert "give -o FOLDER for a calibrated copy" in refused.err
    assert loradar("calibrate", "loradar/embedded", *asked, "--dry-run").code == 0
    mine = tmp_path / "mine"
    ended = loradar("calibrate", "loradar/embedded", *asked, "-o", mine)
    assert ended.code == 0, ended.err
    assert {path: path.read_bytes() for path in before} == before
    written = json.loads((mine / "calibration.json").read_text())
    assert written == json.loads(ended.out)["calibration"]
    assert (mine / "README.md").exists()
    clip = tiny_corpus.parent / pd.read_csv(tiny_corpus)["path"][0]
    shipped, own = (
        json.loads(loradar("detect", "--json", clip, *more).out) for more in ([], ["--model", mine])
    )
    assert own["score"] == shipped["score"]
    assert own["model"] == "mine"
    assert own["llr"] == pytest.approx(
        written["slope"] * own["score"] + written["intercept"], abs=1e-5
    )
    again = loradar("calibrate", "loradar/embedded", *asked, "-o", mine)
    assert again.code == 2
    assert "holds other files" in again.err


def test_an_absent_detector_is_a_plain_error(loradar, nothing_embedded, tiny_corpus, clip):
    for asked in (
        ["detect", clip, "--model", "loradar/embedded"],
        ["evaluate", "loradar/embedded", "--on", tiny_corpus],
        ["calibrate", "loradar/embedded", "--on", tiny_corpus, "--dry-run"],
    ):
        ended = loradar(*asked)
        assert ended.code == 2
        assert (
            ended.err.strip()
            .splitlines()[-1]
            .startswith("loradar: loradar/embedded is not in this installation")
        )


def test_training_on_the_embedded_encoder_keeps_its_name(
    loradar, embedded, tiny_recipe, tiny_corpus, tmp_path
):
    import yaml

    values = {**tiny_recipe, "encoder": {"type": "huggingface", "id": "loradar-embedded"}}
    values["training"] = {**values["training"], "steps": 2, "evaluate_every": 2}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(values))
    ended = loradar("train", tmp_path / "recipe.yaml", "-o", tmp_path / "run")
    assert ended.code == 0, ended.err
    record = json.loads((tmp_path / "run" / "config.json").read_text())
    assert record["base"]["id"] == record["detector"]["encoder"]["id"] == "loradar-embedded"
    told = "".join(p.read_text() for p in (tmp_path / "run").glob("*.md"))
    assert "loradar-embedded" in told
    assert str(embedded.parent) not in told
    clip = tiny_corpus.parent / "00.wav"
    assert loradar("detect", "--model", tmp_path / "run", clip).code == 0


def test_the_demo_uses_the_embedded_encoder_where_there_is_one(embedded, monkeypatch, tmp_path):
    from loradar.cli.demo import default_recipe
    from loradar.training.recipe import read_recipe

    assert read_recipe(default_recipe()).encoder.id == "loradar-embedded"
    monkeypatch.setattr("loradar.embedded.FOLDER", tmp_path)
    assert default_recipe().name == "demo.yaml"
    assert read_recipe(default_recipe()).encoder.id is None


def test_the_way_to_an_onnx_engine_is_one_that_can_be_gone(loradar, embedded, clip):
    pytest.importorskip("onnxruntime")
    ended = loradar("detect", clip, "--engine", "onnx")
    assert ended.code == 2
    assert "run loradar export loradar/embedded --to onnx -o FOLDER" in ended.err
