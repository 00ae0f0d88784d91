"""What the names of the embedded models stand for."""

import json
from pathlib import Path

import pytest
import torch

from loradar.detector import DetectorConfig, build_detector, load_detector, save_detector
from loradar.detector.checkpoint import base_hash
from loradar.detector.pretrained import load_model as load_encoder
from loradar.detector.pretrained import make_model, save_model
from loradar.embedded import detector_folder, encoder_folder, holds, is_installed, names_detector
from loradar.errors import CheckpointError, InputError
from loradar.inference.judging import judge
from loradar.inference.model import load_model

ADAPTED = {
    "encoder": {"type": "huggingface", "id": "loradar-embedded", "layer_mix": "learned"},
    "adaptation": {"mode": "moe_lora", "moe_lora": {"experts": 2, "rank": 2}},
    "backend": {"name": "linear"},
    "window": 6_000,
}
HASHED = [
    "encoder/config.json",
    "encoder/model.safetensors",
    "detector/config.json",
    "detector/model.safetensors",
    "detector/calibration.json",
]


def adapted(seed=0):
    return build_detector(DetectorConfig.from_dict(ADAPTED), seed=seed).eval()


def test_the_encoders_name_loads_the_packages_encoder(embedded):
    assert encoder_folder() == embedded / "encoder"
    named, there = load_encoder("loradar-embedded"), load_encoder(str(embedded / "encoder"))
    assert named.state_dict().keys() == there.state_dict().keys()
    for name, tensor in named.state_dict().items():
        assert torch.equal(tensor, there.state_dict()[name]), name


def test_the_name_wins_over_a_folder_of_the_current_one(embedded, tmp_path, monkeypatch):
    torch.manual_seed(1)
    other = json.loads((embedded / "encoder" / "config.json").read_text())
    del other["architectures"], other["dtype"]
    save_model(make_model(other), tmp_path / "loradar-embedded")
    monkeypatch.chdir(tmp_path)
    packaged = base_hash(load_encoder(str(embedded / "encoder")).state_dict())
    assert base_hash(load_encoder("loradar-embedded").state_dict()) == packaged
    assert base_hash(load_encoder("./loradar-embedded").state_dict()) != packaged


def test_checkpoints_keep_the_name_and_move_with_the_package(embedded, tmp_path, monkeypatch):
    detector = adapted()
    save_detector(detector, tmp_path / "leaning")
    save_detector(detector, tmp_path / "alone", self_contained=True)
    for folder in ("leaning", "alone"):
        text = (tmp_path / folder / "config.json").read_text()
        assert json.loads(text)["detector"]["encoder"]["id"] == "loradar-embedded"
        assert str(embedded.parent) not in text
    moved = embedded.rename(embedded.parent / "elsewhere")
    monkeypatch.setattr("loradar.embedded.FOLDER", moved)
    clips = torch.randn(2, 8_000)
    with torch.no_grad():
        assert torch.equal(load_detector(tmp_path / "leaning")(clips), detector(clips))
        assert torch.equal(load_detector(tmp_path / "alone")(clips), detector(clips))


def test_another_generation_of_the_encoder_is_refused(embedded, embedded_files, tmp_path):
    save_detector(adapted(), tmp_path)
    path = tmp_path / "config.json"
    record = json.loads(path.read_text())
    record["base"]["sha256"] = "0" * 64
    path.write_text(json.dumps(record))
    with pytest.raises(CheckpointError, match="another base encoder than loradar-embedded") as info:
        load_detector(tmp_path)
    assert "\n" not in str(info.value)
    # A copy of the encoder that it was trained on still serves.
    record["base"]["sha256"] = base_hash(adapted().base_tensors())
    path.write_text(json.dumps(record))
    assert load_detector(tmp_path, base=str(embedded_files / "encoder"))


@pytest.mark.parametrize("given", [None, "loradar/embedded", Path("loradar/embedded")])
def test_the_detector_is_the_default(embedded, given):
    model = load_model(given, "cpu")
    assert model.name == "loradar/embedded"
    assert model.calibration.slope == 1.0
    verdict = judge(model, 0.1 * torch.randn(6_000).numpy())
    assert verdict.model == "loradar/embedded"
    assert verdict.score == pytest.approx(verdict.llr)


def test_without_weights_one_line_says_what_to_do(nothing_embedded):
    with pytest.raises(InputError, match="no model: give --model, or run make demo"):
        load_model(None)
    with pytest.raises(InputError, match="loradar/embedded is not in this installation"):
        load_model("loradar/embedded")
    with pytest.raises(InputError, match="loradar-embedded: the embedded encoder is not in"):
        adapted()
    assert not is_installed("encoder")


@pytest.mark.parametrize("name", HASHED)
def test_an_altered_file_is_refused(embedded, name):
    data = bytearray((embedded / name).read_bytes())
    data[-2] ^= 1
    (embedded / name).write_bytes(data)
    with pytest.raises(CheckpointError, match="altered: its SHA-256") as info:
        load_model(None)
    assert name.split("/")[1] in str(info.value)
    assert "\n" not in str(info.value)


@pytest.mark.parametrize("name", ["detector/calibration.json", "encoder/config.json", "SHA256SUMS"])
def test_a_missing_file_is_named(embedded, name):
    (embedded / name).unlink()
    with pytest.raises(CheckpointError, match=f"{Path(name).name}: is missing"):
        load_model(None)


def test_hashes_that_are_no_hashes_match_nothing(embedded):
    (embedded / "SHA256SUMS").write_text("nonsense\n\n")
    with pytest.raises(CheckpointError, match="altered"):
        detector_folder()


def test_names_and_places(embedded, tmp_path):
    assert names_detector("loradar/embedded")
    assert not names_detector("runs/loradar/embedded")
    assert holds(embedded / "detector")
    assert holds(embedded / "encoder" / ".." / "detector")
    assert not holds(tmp_path)
    assert not holds(embedded.parent)
