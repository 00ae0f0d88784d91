import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import Wav2Vec2Config, Wav2Vec2Model

from loradar.detector import DetectorConfig, build_detector, load_detector, save_detector
from loradar.detector.checkpoint import base_hash
from loradar.errors import CheckpointError, InputError
from loradar.files import sha256_of

TINY = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "conv_dim": [16, 16, 16],
    "conv_kernel": [10, 8, 4],
    "conv_stride": [5, 8, 4],
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
    "feat_extract_norm": "layer",
}
MODES = ("frozen", "full", "lora", "moe_lora")


def save_base(folder, seed=0):
    torch.manual_seed(seed)
    Wav2Vec2Model(Wav2Vec2Config(**TINY)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return save_base(tmp_path_factory.mktemp("base"))


def make(encoder, mode="moe_lora", backend="linear", **more):
    config = {"encoder": {"type": "huggingface", **encoder}, "adaptation": {"mode": mode}}
    config |= {"backend": {"name": backend}, **more}
    return build_detector(DetectorConfig.from_dict(config), seed=3)


def trained(detector):
    """One step on noise: every trained tensor, and batch-norm statistics, move."""
    optimiser = torch.optim.SGD(detector.trained_parameters(), 1e-3)
    for _ in range(2):
        loss = detector(torch.randn(3, 8_000)).square().sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return detector.eval()


def same_answers(one, other):
    clips = torch.randn(2, 9_000)
    with torch.no_grad():
        answers = one(clips)
        assert answers.isfinite().all()
        return torch.equal(answers, other(clips))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("alone", [False, True])
def test_round_trip_from_a_local_base(base, tmp_path, mode, alone):
    detector = trained(make({"id": str(base), "layer_mix": "learned"}, mode, "aasist"))
    save_detector(detector, tmp_path, self_contained=alone)
    again = load_detector(tmp_path)
    assert not again.training
    assert same_answers(detector, again)
    for name, tensor in detector.whole_state().items():
        assert torch.equal(tensor, again.whole_state()[name]), name
    saved = load_file(tmp_path / "model.safetensors")
    has_base = "encoder.model.feature_projection.projection.weight" in saved
    assert has_base == (alone or mode == "full")


@pytest.mark.parametrize("alone", [False, True])
def test_round_trip_in_bfloat16(base, tmp_path, alone):
    detector = trained(make({"id": str(base), "frozen_dtype": "bfloat16"}, backend="aasist"))
    save_detector(detector, tmp_path, self_contained=alone)
    again = load_detector(tmp_path)
    assert {t.dtype for t in again.base_tensors().values()} == {torch.bfloat16}
    assert same_answers(detector, again)


def test_self_contained_needs_no_base(tmp_path):
    folder = save_base(tmp_path / "base")
    detector = trained(make({"id": str(folder), "layers": 1}))
    save_detector(detector, tmp_path / "alone", self_contained=True)
    save_detector(detector, tmp_path / "leaning")
    folder.rename(tmp_path / "moved")
    again = load_detector(tmp_path / "alone")
    assert same_answers(detector, again)
    # And it can be saved and loaded once more.
    save_detector(again, tmp_path / "second")
    assert same_answers(detector, load_detector(tmp_path / "second"))
    with pytest.raises(InputError):
        load_detector(tmp_path / "leaning")
    assert same_answers(detector, load_detector(tmp_path / "leaning", base=str(tmp_path / "moved")))


@pytest.mark.parametrize("kind", ["wav2vec2", "hubert", "wavlm"])
def test_inline_encoders_are_self_contained(tmp_path, kind):
    detector = trained(make({"config": {"model_type": kind, **TINY}}))
    save_detector(detector, tmp_path)
    assert same_answers(detector, load_detector(tmp_path))


@pytest.mark.parametrize("kind", ["raw_aasist", "spectrogram_cnn"])
@pytest.mark.parametrize("mode", ["full", "frozen"])
def test_baselines_round_trip(tmp_path, kind, mode):
    config = {"encoder": {"type": kind}, "adaptation": {"mode": mode}, "backend": {"name": "none"}}
    detector = build_detector(DetectorConfig.from_dict(config), seed=1).eval()
    save_detector(detector, tmp_path)
    assert same_answers(detector, load_detector(tmp_path))


def test_another_base_is_refused(base, tmp_path):
    save_detector(make({"id": str(base)}), tmp_path / "model")
    other = save_base(tmp_path / "other", seed=1)
    with pytest.raises(CheckpointError, match="another base encoder") as info:
        load_detector(tmp_path / "model", base=str(other))
    assert "\n" not in str(info.value)


def test_base_hash_sees_names_shapes_and_values():
    weight = torch.arange(6.0)
    hashes = [
        base_hash({"a": weight}),
        base_hash({"b": weight}),
        base_hash({"a": weight.view(2, 3)}),
        base_hash({"a": weight.half()}),
        base_hash({"a": weight + 1}),
        base_hash({"a": weight, "c": torch.tensor(0.0)}),
    ]
    assert len(set(hashes)) == len(hashes)
    assert base_hash({"x": weight, "y": weight + 1}) == base_hash({"y": weight + 1, "x": weight})


def test_the_base_hash_survives_injection_and_training(base):
    plain = make({"id": str(base)}, "frozen")
    assert base_hash(trained(make({"id": str(base)})).base_tensors()) == base_hash(
        plain.base_tensors()
    )


def test_other_files_stay(base, tmp_path):
    (tmp_path / "calibration.json").write_text("{}")
    (tmp_path / "README.md").write_text("card")
    save_detector(make({"id": str(base)}), tmp_path)
    save_detector(make({"id": str(base)}), tmp_path)
    found = {path.name for path in tmp_path.iterdir()}
    written = {"config.json", "model.safetensors", "preprocessor_config.json"}
    assert found == {"calibration.json", "README.md", *written}


def edit(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def rewrite(folder, change):
    """Alter the tensors and make the hash fit, as a careful hand would."""
    path = folder / "model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)
    edit(folder, weights_sha256=sha256_of(path))


def drop(tensors):
    del tensors["backend.output.weight"]


def add(tensors):
    tensors["backend.surplus"] = torch.zeros(1)


def reshape(tensors):
    tensors["backend.output.bias"] = torch.zeros(3)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "config.json").unlink(), "not a detector checkpoint"),
        (lambda f: (f / "config.json").write_text("{oh"), "cannot be read"),
        (lambda f: (f / "config.json").write_text("[]"), "not the configuration"),
        (lambda f: (f / "model.safetensors").unlink(), "model.safetensors is missing"),
        (lambda f: edit(f, format_version=4), "newer Loradar"),
        (lambda f: edit(f, format_version=None), "format_version is missing"),
        (lambda f: edit(f, detector=None), "detector: the section is missing"),
        (lambda f: edit(f, detector={"encoder": {"type": "raw_aasist"}, "odd": 1}), "odd"),
        (lambda f: (f / "model.safetensors").write_bytes(b"x" * 99), "altered or incomplete"),
        (lambda f: rewrite(f, drop), "1 tensors are missing, first backend.output.weight"),
        (lambda f: rewrite(f, add), "1 tensors are unknown, first backend.surplus"),
        (lambda f: rewrite(f, reshape), r"backend.output.bias has shape \[3\]"),
    ],
)
def test_damage_is_named_in_one_line(base, tmp_path, damage, message):
    save_detector(make({"id": str(base)}), tmp_path)
    load_detector(tmp_path)
    damage(tmp_path)
    with pytest.raises(CheckpointError, match=message) as info:
        load_detector(tmp_path)
    assert "\n" not in str(info.value)


def test_a_flipped_bit_is_found(base, tmp_path):
    save_detector(make({"id": str(base)}), tmp_path)
    path = tmp_path / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="altered"):
        load_detector(tmp_path)


def test_loading_leaves_the_random_state(base, tmp_path):
    save_detector(make({"id": str(base)}), tmp_path)
    state = torch.get_rng_state()
    load_detector(tmp_path)
    assert torch.equal(torch.get_rng_state(), state)


def test_whisper_tiny_round_trip(shared, tmp_path):
    folder = shared / "encoders" / "whisper-tiny.en"
    if not folder.is_dir():
        pytest.skip("no whisper-tiny.en here")
    detector = make({"id": str(folder), "layers": 1}, backend="linear")
    with torch.no_grad():
        for parameter in detector.trained_parameters():
            parameter.add_(0.01)
    save_detector(detector.eval(), tmp_path)
    assert (tmp_path / "model.safetensors").stat().st_size < 1_000_000
    assert same_answers(detector, load_detector(tmp_path))
