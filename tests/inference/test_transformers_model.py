import shutil

import numpy as np
import pytest
import torch
import transformers

import loradar
from loradar.files import write_json


@pytest.fixture(scope="module")
def folder(tiny_model, tmp_path_factory):
    """A model whose calibration changes scores."""
    folder = tmp_path_factory.mktemp("pipeline") / "model"
    shutil.copytree(tiny_model, folder, ignore=shutil.ignore_patterns("checkpoints"))
    calibration = {"slope": 0.5, "intercept": 0.7, "p_spoof": 0.5, "bonafide": 9, "spoof": 9}
    write_json(folder / "calibration.json", calibration)
    return folder


@pytest.fixture(scope="module")
def classify(folder):
    loradar.register()
    loradar.register()  # twice does no harm
    return transformers.pipeline("audio-classification", model=str(folder))


def _clips(*lengths):
    rng = np.random.default_rng(0)
    return [(0.1 * rng.standard_normal(n)).astype(np.float32) for n in lengths]


def test_the_pipeline_gives_p_spoof(folder, classify):
    detector = loradar.Detector.from_pretrained(folder)
    for clip in _clips(6_000, 9_100, 20_000):
        found = {row["label"]: row["score"] for row in classify(clip)}
        score = detector.detect(clip, 16_000).score
        assert found.keys() == {"spoof", "bonafide"}
        assert found["spoof"] == pytest.approx(1 / (1 + np.exp(0.5 * score + 0.7)), abs=1e-4)


def test_a_padded_batch_answers_as_its_clips_do(classify):
    clips = _clips(6_000, 9_100, 20_000)
    for together, clip in zip(classify(clips, batch_size=3), clips, strict=True):
        alone = {row["label"]: row["score"] for row in classify(clip)}
        assert {r["label"]: pytest.approx(r["score"], abs=1e-5) for r in together} == alone


def test_auto_classes_find_it(folder):
    loradar.register()
    model = transformers.AutoModelForAudioClassification.from_pretrained(folder)
    assert type(model).__name__ == "LoradarForAudioClassification"
    assert model.config.id2label == {0: "spoof", 1: "bonafide"}
    logits = model(torch.zeros(1, 8_000) + torch.linspace(-1, 1, 8_000).sin()).logits
    assert logits.shape == (1, 2)
