import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from loradar.errors import CheckpointError
from loradar.moe_lora import MoeLoraConfig, inject, load

CONFIG = MoeLoraConfig(experts=3, rank=2, alpha=3.0, layers=(1,))


@pytest.fixture
def saved(make_encoder, stir, tmp_path):
    model = make_encoder()
    mixture = inject(model, CONFIG)
    stir(mixture)
    mixture.save(tmp_path / "adapters")
    return model, mixture, tmp_path / "adapters"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_bit_exact_round_trip(make_encoder, stir, tmp_path, dtype):
    model = make_encoder().to(dtype)
    mixture = inject(model, CONFIG)
    stir(mixture)
    mixture.save(tmp_path)
    torch.manual_seed(0)
    other = type(model)().to(dtype)
    other.load_state_dict({k.replace(".base", ""): v for k, v in model.state_dict().items()}, False)
    x = torch.randn(2, 5, 8, dtype=dtype)
    again = load(other, tmp_path, lambda: other(x))
    assert again.config == CONFIG
    ours, theirs = mixture.state_dict(), again.state_dict()
    assert list(ours) == list(theirs)
    for name, tensor in ours.items():
        assert theirs[name].dtype == tensor.dtype
        assert torch.equal(theirs[name], tensor)
    assert torch.equal(other(x), model(x))


def test_names_in_the_file_are_the_models_own(saved):
    model, mixture, folder = saved
    tensors = load_file(folder / "moe_lora.safetensors")
    assert "layers.1.moe_router.weight" in tensors
    assert len(tensors) == 9
    parameters = dict(model.named_parameters())
    for name, tensor in tensors.items():
        assert torch.equal(parameters[name], tensor)
    assert set(mixture.state_dict()) == set(tensors)


def test_the_handle_loads_into_itself(saved, stir):
    _, mixture, folder = saved
    expected = {name: tensor.clone() for name, tensor in mixture.state_dict().items()}
    stir(mixture)
    mixture.load(folder)
    for name, tensor in mixture.state_dict().items():
        assert torch.equal(tensor, expected[name])


def refuse(make_encoder, folder, match):
    model = make_encoder()
    before = [type(module) for module in model.modules()]
    with pytest.raises(CheckpointError, match=match) as caught:
        load(model, folder)
    assert "\n" not in str(caught.value)
    assert [type(module) for module in model.modules()] == before


def test_missing_files(saved, make_encoder, tmp_path):
    folder = saved[2]
    refuse(make_encoder, tmp_path / "nowhere", "not there; this is no folder of saved")
    (folder / "moe_lora.safetensors").unlink()
    refuse(make_encoder, folder, "moe_lora.safetensors: not there")


def test_altered_tensors(saved, make_encoder):
    folder = saved[2]
    path = folder / "moe_lora.safetensors"
    good = path.read_bytes()
    path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    refuse(make_encoder, folder, "not the one that was saved")
    path.write_bytes(good[: len(good) // 2])
    refuse(make_encoder, folder, "not a readable safetensors")
    path.write_bytes(b"what is this")
    refuse(make_encoder, folder, "not a readable safetensors")
    tensors = load_file_from(good, path)
    save_file({**tensors, "extra": torch.zeros(1)}, path)
    refuse(make_encoder, folder, "unknown tensor extra")
    missing = dict(tensors)
    del missing["layers.1.q_proj.A"]
    save_file(missing, path)
    refuse(make_encoder, folder, "lacks tensor layers.1.q_proj.A")


def load_file_from(content, path):
    path.write_bytes(content)
    return load_file(path)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"format": "peft"}, "not the settings"),
        ({"format_version": 3}, "format version 3"),
        ({"format_version": None}, "format version None"),
        ({"config": {"experts": 3, "rank": 2, "top_k": 3}}, "SHA-256"),
        ({"sha256": "0" * 64}, "SHA-256"),
        ({"note": "hello"}, "SHA-256"),
    ],
)
def test_altered_settings(saved, make_encoder, change, match):
    path = saved[2] / "moe_lora.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    refuse(make_encoder, saved[2], match)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"experts": 8}'])
def test_other_json(saved, make_encoder, text):
    (saved[2] / "moe_lora.json").write_text(text)
    refuse(make_encoder, saved[2], "moe_lora.json: not")


def test_binary_settings(saved, make_encoder):
    (saved[2] / "moe_lora.json").write_bytes(b"\xff\xfe\x00\x80")
    refuse(make_encoder, saved[2], "not readable JSON")


def test_another_base_model(saved, make_encoder):
    model = make_encoder(width=16)
    with pytest.raises(CheckpointError, match="another base model"):
        load(model, saved[2])
    assert type(model.layers[1].q_proj) is torch.nn.Linear


def test_other_settings(saved, make_encoder):
    mixture = inject(make_encoder(), MoeLoraConfig(experts=3, rank=2, layers=(1,)))
    with pytest.raises(CheckpointError, match=r"saved with alpha=3\.0"):
        mixture.load(saved[2])


def test_nothing_is_copied_when_one_tensor_is_wrong(saved):
    _, mixture, _ = saved
    tensors = {name: torch.zeros_like(t) for name, t in mixture.state_dict().items()}
    last = list(tensors)[-1]
    tensors[last] = torch.zeros(1)
    with pytest.raises(CheckpointError, match="shape"):
        mixture.load_state_dict(tensors)
    assert any(tensor.any() for tensor in mixture.state_dict().values())
