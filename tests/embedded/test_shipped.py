"""What is in the package itself. Skipped where the weights are not in the tree."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import loradar
from loradar.corpora.manifest import read_manifest
from loradar.detector.checkpoint import load_detector
from loradar.embedded import (
    BESIDE,
    BESIDE_DETECTOR,
    DETECTOR,
    ENCODER,
    FOLDER,
    HASHED,
    SUMS,
    detector_folder,
    is_installed,
)
from loradar.files import sha256_of
from loradar.inference.model import load_model
from loradar.training.growth.run import grow
from loradar.training.growth.settings import GrowthSettings

PACKAGE = Path(loradar.__file__).parent
SCORES = Path(__file__).parents[1] / "data" / "embedded_scores.json"

both = pytest.mark.skipif(
    not (is_installed(ENCODER) and is_installed(DETECTOR)), reason="no embedded weights in the tree"
)


@pytest.fixture(scope="module")
def model():
    return load_model(None, "cpu")


def test_the_package_is_small():
    files = [p for p in PACKAGE.rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    assert sum(path.stat().st_size for path in files) < 60_000_000


def test_both_or_none():
    assert is_installed(ENCODER) == is_installed(DETECTOR) == (FOLDER / SUMS).is_file()


@both
def test_one_generation_of_files_with_their_hashes():
    found = {p.relative_to(FOLDER).as_posix() for p in FOLDER.rglob("*") if p.is_file()}
    found = {name for name in found if not name.endswith((".py", ".pyc"))}
    expected = {f"{part}/{name}" for part, names in HASHED.items() for name in (*names, *BESIDE)}
    expected |= {f"{DETECTOR}/{name}" for name in BESIDE_DETECTOR}
    assert found == {*expected, SUMS}
    lines = [line.split() for line in (FOLDER / SUMS).read_text(encoding="utf-8").splitlines()]
    assert {name for _, name in lines} == {
        f"{part}/{name}" for part, names in HASHED.items() for name in names
    }
    for digest, name in lines:
        assert sha256_of(FOLDER / name) == digest, name


@both
def test_sizes(model):
    encoder = model.detector.base_tensors()
    assert sum(tensor.numel() for tensor in encoder.values()) <= 10_000_000
    assert (FOLDER / ENCODER / "model.safetensors").stat().st_size <= 20_000_000
    assert model.detector.config.encoder.id == "loradar-embedded"
    assert model.detector.mixture is not None


@both
def test_scores_of_fixed_clips(model, tool):
    written = json.loads(SCORES.read_text(encoding="utf-8"))
    found = tool("install_embedded").fixed_scores(model.detector)
    assert found == pytest.approx(written["scores"], abs=1e-4)
    digest = sha256_of(FOLDER / DETECTOR / "model.safetensors")
    assert digest.startswith(written["weights"]), "run tools/install_embedded.py"


@both
def test_verdicts_are_calibrated(model):
    assert model.name == "loradar/embedded"
    assert model.calibration.thresholds is not None


@both
@pytest.mark.parametrize("part", [ENCODER, DETECTOR])
def test_the_card_is_of_these_weights(part):
    digest = sha256_of(FOLDER / part / "model.safetensors")[:12]
    card = (FOLDER / part / "README.md").read_text(encoding="utf-8")
    assert f"weights: sha256 {digest}" in card, "measure anew, and say so on the card"


@both
def test_it_grows_and_only_by_what_was_added(tiny_corpus, tmp_path):
    manifest = read_manifest(tiny_corpus)
    data, folder = manifest.where({"attack": ["hum", ""]}), detector_folder()
    settings = GrowthSettings.of(steps=1, batch_size=4, learning_rate=0.05)
    detector = load_detector(folder)
    grow(detector, folder, tmp_path / "grown", data, settings=settings)
    old, new = (load_file(f / "model.safetensors") for f in (folder, tmp_path / "grown"))
    assert old.keys() < new.keys()
    assert all(torch.equal(new[name].float(), tensor.float()) for name, tensor in old.items())
    clip = torch.randn(1, 44_800)
    with torch.no_grad():
        again = load_detector(tmp_path / "grown").eval()
        again.mixture.remove(8)
        assert torch.equal(again(clip), load_detector(folder).eval()(clip))
