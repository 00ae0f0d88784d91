"""Files of weights."""

import hashlib
import os

import pytest
import torch
from safetensors.torch import save_file

from loradar.errors import CheckpointError
from loradar.vocoders.neural import shipped as files
from loradar.vocoders.neural.config import build_vocoder
from loradar.vocoders.neural.istft import IstftConfig
from loradar.vocoders.neural.weights import load_vocoder, read_vocoder, save_vocoder

CONFIG = IstftConfig(bands=20, n_fft=128, hop=32, width=8, hidden=16, blocks=1)


@pytest.fixture
def model():
    torch.manual_seed(1)
    return build_vocoder(CONFIG)


@pytest.fixture
def shipped(tmp_path, monkeypatch, model):
    path = tmp_path / "istft.safetensors"
    save_vocoder(model, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    (tmp_path / files.SUMS).write_text(f"{digest}  {path.name}\n")
    monkeypatch.setattr(files, "SHIPPED", tmp_path)
    return path


def test_there_and_back(model, tmp_path):
    path = tmp_path / "v.safetensors"
    save_vocoder(model, path, {"steps": 3})
    torch.manual_seed(5)
    state = torch.get_rng_state()
    again = read_vocoder(path)
    assert torch.equal(torch.get_rng_state(), state)
    assert again.config == CONFIG
    assert not again.training
    for name, tensor in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor.half().float()), name


def test_weights_beyond_half_precision_are_refused(model, tmp_path):
    with torch.no_grad():
        model.embed.weight[0, 0, 0] = 1e6
    with pytest.raises(CheckpointError, match="float16"):
        save_vocoder(model, tmp_path / "v.safetensors")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("what", ["absent", "noise", "other"])
def test_files_that_are_not_vocoders(tmp_path, what):
    path = tmp_path / "v.safetensors"
    if what == "noise":
        path.write_bytes(b"nothing")
    elif what == "other":
        save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match=r"v\.safetensors"):
        read_vocoder(path)


def test_a_missing_tensor_is_told(model, tmp_path):
    path = tmp_path / "v.safetensors"
    model.head = torch.nn.Identity()
    save_vocoder(model, path)
    with pytest.raises(CheckpointError, match="does not fit"):
        read_vocoder(path)


def test_shipped_weights_are_read_once(shipped):
    assert load_vocoder("istft") is load_vocoder("istft")


def test_altered_weights_are_refused(shipped):
    data = bytearray(shipped.read_bytes())
    data[-1] ^= 1
    shipped.write_bytes(data)
    reason = files.missing_vocoder("istft")
    assert reason == (
        "its weights (istft.safetensors) are not as SHA256SUMS has them: install loradar again"
    )
    with pytest.raises(CheckpointError, match=r"neural vocoder istft: its weights .* not as"):
        load_vocoder("istft")


def test_absent_weights_are_told_without_a_path(shipped):
    assert files.missing_vocoder("istft") is None
    assert files.missing_vocoder("gan") == (
        "its weights (gan.safetensors) are not in this installation: install loradar again"
    )
    assert files.weights_digest("gan") == ""
    with pytest.raises(CheckpointError, match="neural vocoder gan: its weights"):
        load_vocoder("gan")
    (shipped.parent / files.SUMS).unlink()
    assert "not as SHA256SUMS" in str(files.missing_vocoder("istft"))


def test_weights_that_change_are_read_again(shipped):
    before, digest = load_vocoder("istft"), files.weights_digest("istft")
    save_vocoder(build_vocoder(CONFIG), shipped)
    os.utime(shipped, ns=(1, 1))
    now = files.weights_digest("istft")
    assert now == hashlib.sha256(shipped.read_bytes()).hexdigest() != digest
    (shipped.parent / files.SUMS).write_text(f"{now}  {shipped.name}\n")
    assert load_vocoder("istft") is not before


def test_what_ships_is_listed_small_and_whole():
    paths = sorted(files.SHIPPED.glob("*.safetensors"))
    lines = (files.SHIPPED / files.SUMS).read_text(encoding="utf-8").splitlines()
    assert [line.split()[1] for line in lines] == [path.name for path in paths]
    for path in paths:
        assert path.stat().st_size <= 5_000_000
        assert load_vocoder(path.stem).config.family == path.stem
