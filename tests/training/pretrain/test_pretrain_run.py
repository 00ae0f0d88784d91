import copy
import json
import logging

import pandas as pd
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from transformers import AutoModel

import loradar
from loradar.detector import DetectorConfig, build_detector, load_detector, save_detector
from loradar.detector.config import HuggingFaceEncoderConfig
from loradar.detector.encoders import build_encoder
from loradar.errors import InputError, LoradarError
from loradar.training.pretrain.recipe import parse_pretrain_recipe
from loradar.training.pretrain.run import pretrain

CONFORMER = {
    "model_type": "wav2vec2-bert",
    "loradar_front_end": "log_spectrum",
    "feature_projection_input_dim": 448,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "conv_depthwise_kernel_size": 5,
}
WAVEFORM = {
    "model_type": "wav2vec2",
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "conv_dim": [8, 8],
    "conv_kernel": [10, 8],
    "conv_stride": [10, 16],
    "feat_extract_norm": "layer",
    "do_stable_layer_norm": True,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
}


def changed(values, **sections):
    values = copy.deepcopy(values)
    for name, change in sections.items():
        values[name] = {**values.get(name, {}), **change}
    return parse_pretrain_recipe(values)


@pytest.fixture(scope="module")
def finished(pretrain_values, tmp_path_factory):
    recipe = changed(pretrain_values, encoder={"weights": "float16"})
    return pretrain(recipe, tmp_path_factory.mktemp("runs") / "tiny")


def test_a_run_leaves_an_encoder_that_recipes_load(finished):
    folder = finished.folder
    assert {path.name for path in folder.iterdir()} >= {
        "config.json",
        "model.safetensors",
        "heads.safetensors",
        "recipe.yaml",
        "metrics.json",
        "README.md",
        "tensorboard",
    }
    encoder = build_encoder(HuggingFaceEncoderConfig(id=str(folder))).eval()
    weights = load_file(folder / "model.safetensors")
    assert weights["feature_projection.weight"].dtype == torch.float16
    assert weights["stem.norm.running_var"].dtype == torch.float32
    assert encoder.dtype == torch.float32
    assert torch.equal(
        encoder.model.feature_projection.weight, weights["feature_projection.weight"].float()
    )
    clip = torch.randn(1, 8_000)
    with torch.no_grad():
        loradar.register()
        again = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
        inputs = encoder.inputs(clip, None)[0]
        assert torch.equal(again(inputs).last_hidden_state, encoder(clip)[0])
    assert "loradar-spectral" in (folder / "README.md").read_text()


def test_a_detector_on_it_adapts_saves_and_loads(finished, tmp_path):
    config = DetectorConfig.from_dict(
        {
            "encoder": {"type": "huggingface", "id": str(finished.folder)},
            "adaptation": {"mode": "moe_lora", "moe_lora": {"experts": 2, "rank": 2}},
            "backend": {"name": "aasist"},
        }
    )
    detector = build_detector(config, seed=0).eval()
    save_detector(detector, tmp_path / "run", self_contained=True)
    clips = torch.randn(2, 32_000)
    with torch.no_grad():
        assert torch.equal(load_detector(tmp_path / "run")(clips), detector(clips))


def test_the_heads_are_kept_apart(finished):
    with safe_open(finished.folder / "heads.safetensors", "pt") as file:
        assert json.loads(file.metadata()["attacks"]) == ["high", "low"]
        names = set(file.keys())
    assert {"artifact.attack.weight", "masked.vector", "encoder.mix.weights"} <= names
    assert not any(name.startswith("encoder.model.") for name in names)


def test_figures(finished):
    metrics = json.loads((finished.folder / "metrics.json").read_text())
    assert metrics == finished.metrics
    assert metrics["steps"] == 6
    assert metrics["seconds_per_step"] > 0
    assert metrics["attacks"] == ["high", "low"]
    assert metrics["attack_chance"] == pytest.approx(1 / 3)
    assert set(metrics["eer_by_attack"]) == {"high", "low"}
    assert {"masked_accuracy", "masked_chance", "attack_accuracy", "eer"} <= metrics.keys()
    assert "eer_left_out" not in metrics


class _Killed(Exception):
    pass


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_resumed_run_ends_in_the_same_weights_bit_for_bit(pretrain_values, tmp_path, precision):
    # Dropout, spectrum strips, masks, augmentation and batch norms all must go on as they were.
    recipe = changed(pretrain_values, training={"precision": precision})
    pretrain(recipe, tmp_path / "unbroken")

    def kill(done: int, total: int, what: str) -> None:
        if what == "training" and done == 3:
            raise _Killed

    with pytest.raises(_Killed):
        pretrain(recipe, tmp_path / "broken", progress=kill)
    assert not (tmp_path / "broken" / "model.safetensors").exists()
    pretrain(recipe, tmp_path / "broken", resume=True)
    for name in ("model.safetensors", "heads.safetensors"):
        one, two = (load_file(tmp_path / run / name) for run in ("unbroken", "broken"))
        assert one.keys() == two.keys()
        assert all(torch.equal(one[key], two[key]) for key in one), name
    ends = [json.loads((tmp_path / r / "metrics.json").read_text()) for r in ("unbroken", "broken")]
    for name in ("eer", "attack_accuracy", "masked_accuracy", "masked_chance"):
        assert ends[0][name] == ends[1][name]


@pytest.mark.parametrize("encoder", [WAVEFORM, CONFORMER], ids=["wav2vec2", "conformer"])
def test_every_family_trains_on_both_objectives(pretrain_values, tmp_path, encoder, caplog):
    recipe = changed(pretrain_values, encoder={"config": encoder}, training={"steps": 2})
    with caplog.at_level(logging.INFO, logger="loradar.training"):
        result = pretrain(recipe, tmp_path / "run")
    assert "dev attack accuracy" in caplog.text
    assert "dev masked accuracy" in caplog.text
    assert "s/step" in caplog.text
    start = build_encoder(recipe.encoder.source).model.state_dict()
    end = build_encoder(HuggingFaceEncoderConfig(id=str(result.folder)))
    assert end.frames(6_000) > 0
    assert any(
        not torch.equal(start[name], value) for name, value in end.model.state_dict().items()
    )


def test_artifacts_are_learnt_on_clips_not_heard(pretrain_values, tmp_path):
    recipe = changed(
        {**pretrain_values, "objective": {"artifact": {}}},
        training={"steps": 60, "batch_size": 8, "evaluate_every": 60, "log_every": 30},
    )
    metrics = pretrain(recipe, tmp_path / "run").metrics
    assert metrics["attack_accuracy"] > 0.6
    assert metrics["eer"] < 0.2
    assert "masked_accuracy" not in metrics


def test_going_on_from_an_encoder_on_real_speech_alone(
    pretrain_values, paired_corpus, finished, tmp_path
):
    real = pd.read_csv(paired_corpus)
    real = real[real["label"] == "bonafide"]
    real["path"] = [str(paired_corpus.parent / path) for path in real["path"]]
    real.to_csv(tmp_path / "real.csv", index=False)
    values = {**pretrain_values, "objective": {"masked": {"codes": 4}}}
    values["encoder"] = {"id": str(finished.folder)}
    recipe = changed(values, data={"path": str(tmp_path / "real.csv")}, training={"steps": 2})
    metrics = pretrain(recipe, tmp_path / "run").metrics
    assert metrics["attacks"] == []
    assert set(metrics) & {"eer", "attack_accuracy"} == set()
    both = changed(pretrain_values, data={"path": str(tmp_path / "real.csv")})
    with pytest.raises(InputError, match="needs spoofed clips"):
        pretrain(both, tmp_path / "both")
    assert not (tmp_path / "both" / "recipe.yaml").exists()


def test_attacks_left_out_are_measured_apart(pretrain_values, tmp_path):
    recipe = changed(
        {**pretrain_values, "objective": {"artifact": {}}},
        data={"without": {"family": ["high_family"]}},
        training={"steps": 2},
        evaluation={"batch_size": 3},
    )
    metrics = pretrain(recipe, tmp_path / "run").metrics
    assert metrics["attacks"] == ["low"]
    assert metrics["attack_chance"] == 0.5
    assert metrics["eer_left_out"] == metrics["eer_by_attack"]["high"]
    assert metrics["eer"] == metrics["eer_by_attack"]["low"]


def test_a_folder_with_a_run_is_not_overwritten(pretrain_values, finished):
    with pytest.raises(InputError, match="already holds a run"):
        pretrain(changed(pretrain_values), finished.folder)


def test_a_loss_that_is_not_finite_ends_the_run(pretrain_values, tmp_path):
    recipe = changed(
        pretrain_values,
        training={"learning_rate": 1e30, "max_gradient_norm": 1e30, "warmup": 0.0},
    )
    with pytest.raises(LoradarError, match=r"training\.learning_rate"):
        pretrain(recipe, tmp_path / "run")
