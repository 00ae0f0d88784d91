import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from loradar.detector import load_public_aasist
from loradar.detector.aasist import AasistBackend, RawAasist, sinc_filters
from loradar.errors import CheckpointError, InputError

TOLERANCE = 5e-5


@pytest.mark.parametrize("variant", ["AASIST", "AASIST-L"])
def test_public_weights_give_the_public_answers(shared, variant):
    folder = shared / "fixtures" / "aasist"
    expected = load_file(folder / "io.safetensors")
    detector = load_public_aasist(folder / f"{variant}.state.safetensors")
    assert detector.config.encoder.variant == variant
    clips = torch.stack([expected["input.noise"], expected["input.chirp"], torch.zeros(64_600)])
    with torch.no_grad():
        embedding = detector.backend.embed(clips)
        logits = detector.backend.classify(embedding)
        long = detector(expected["input.long"].unsqueeze(0))
    assert (logits - expected[f"{variant}.logits"]).abs().max() < TOLERANCE
    assert (embedding - expected[f"{variant}.embedding"]).abs().max() < TOLERANCE
    assert (long - expected[f"{variant}.long.logits"]).abs().max() < TOLERANCE
    assert (sinc_filters() - expected[f"{variant}.sinc_bank"]).abs().max() < 1e-6
    count = json.loads((folder / "meta.json").read_text())["models"][variant]["params"]
    assert sum(p.numel() for p in detector.parameters()) == count


def test_public_aasist_answers_for_real_clips(shared):
    soundfile = pytest.importorskip("soundfile")
    weights = shared / "fixtures" / "aasist" / "AASIST.state.safetensors"
    clips = sorted((shared / "speech" / "labelled").glob("*/*.flac"))[:2]
    if not clips:
        pytest.skip("no real speech here")
    detector = load_public_aasist(weights)
    scores = []
    for clip in clips:
        samples = soundfile.read(clip, dtype="float32")[0]
        window = torch.from_numpy(np.resize(samples, 64_600)).unsqueeze(0)
        with torch.no_grad():
            scores.append(float(detector.score(detector(window))))
    assert np.isfinite(scores).all()
    assert scores[0] != scores[1]


@pytest.mark.parametrize(("seed", "frames", "suffix"), [(0, 201, ""), (1, 150, "_T150")])
def test_backend_matches_the_ssl_variant(shared, seed, frames, suffix):
    folder = shared / "fixtures" / "ssl_aasist"
    expected = load_file(folder / "io.safetensors")
    backend = AasistBackend(1024).eval()
    backend.load_state_dict(load_file(folder / "state.safetensors"))
    logits = expected[f"logits{suffix}"]
    features = np.random.default_rng(seed).standard_normal((len(logits), frames, 1024))
    with torch.no_grad():
        embedding = backend.embed(torch.from_numpy(features.astype(np.float32)))
        found = backend(torch.from_numpy(features.astype(np.float32)))
    assert (found - logits).abs().max() < TOLERANCE
    if not suffix:
        assert (embedding - expected["embedding"]).abs().max() < TOLERANCE


@pytest.mark.parametrize(
    ("model", "count"),
    [
        (AasistBackend(1024), 447_242),
        (RawAasist("AASIST"), 297_866),
        (RawAasist("AASIST-L"), 85_306),
    ],
    ids=["ssl", "raw", "raw-l"],
)
def test_parameter_counts(model, count):
    assert sum(p.numel() for p in model.parameters()) == count


def test_every_parameter_but_the_dead_norms_is_trained():
    backend = AasistBackend(16)
    backend(torch.randn(3, 30, 16)).square().sum().backward()
    idle = {name for name, p in backend.named_parameters() if p.grad is None}
    assert idle == {f"encoder.{i}.0.bn1.{part}" for i in range(1, 6) for part in ("weight", "bias")}


def test_shortest_inputs():
    assert AasistBackend(8).eval()(torch.randn(1, 3, 8)).shape == (1, 2)
    raw = RawAasist().eval()
    assert raw(torch.randn(1, raw.minimum_samples)).shape == (1, 2)
    with pytest.raises(RuntimeError):
        raw(torch.randn(1, raw.minimum_samples - 1))


def test_the_file_as_published_is_read_without_running_it(tmp_path):
    state = RawAasist("AASIST-L").state_dict()
    torch.save(state, tmp_path / "AASIST-L.pth")
    detector = load_public_aasist(tmp_path / "AASIST-L.pth")
    assert detector.config.encoder.variant == "AASIST-L"
    assert torch.equal(detector.backend.pos_S, state["pos_S"])
    torch.save({"pos_S": print}, tmp_path / "harmful.pth")
    (tmp_path / "broken.pth").write_bytes(b"no weights")
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    for name in ("harmful", "broken", "list", "missing"):
        with pytest.raises(InputError, match=f"{name}.pth: ") as info:
            load_public_aasist(tmp_path / f"{name}.pth")
        assert "\n" not in str(info.value)


def test_files_that_are_not_aasist_are_refused(tmp_path):
    from safetensors.torch import save_file

    with pytest.raises(InputError, match="cannot be read"):
        load_public_aasist(tmp_path / "missing.safetensors")
    save_file({"pos_S": torch.zeros(1, 23, 64)}, tmp_path / "part.safetensors")
    with pytest.raises(CheckpointError, match="not the weights of AASIST") as info:
        load_public_aasist(tmp_path / "part.safetensors")
    assert "\n" not in str(info.value)
    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match="AASIST"):
        load_public_aasist(tmp_path / "other.safetensors")
