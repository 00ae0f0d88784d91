"""Spectrogram CNNs beside a detector."""

import json

import pytest
import torch
from tests.conftest import TINY_ENCODER

from loradar.detector import DetectorConfig, build_detector, load_detector, save_detector
from loradar.detector.branch import join
from loradar.errors import ConfigError, InputError

CNN = {
    "encoder": {"type": "spectrogram_cnn"},
    "adaptation": {"mode": "full"},
    "backend": {"name": "none"},
    "window": 9_000,
}


def detector(**sections):
    given = {
        "encoder": {"type": "huggingface", "config": TINY_ENCODER},
        "adaptation": {"mode": "moe_lora", "moe_lora": {"experts": 2, "rank": 2, "top_k": 1}},
        "backend": {"name": "linear"},
        "window": 9_000,
    }
    return build_detector(DetectorConfig.from_dict({**given, **sections}), seed=0).eval()


@pytest.fixture(scope="module")
def cnn():
    return build_detector(DetectorConfig.from_dict(CNN), seed=1).eval()


@pytest.fixture(scope="module")
def clips():
    return torch.randn(3, 9_000, generator=torch.Generator().manual_seed(0))


def test_logits_are_added(cnn, clips):
    alone = detector()
    joined = join(alone, cnn, 0.6)
    with torch.no_grad():
        expected = alone(clips) + 0.6 * cnn(clips)
        torch.testing.assert_close(joined(clips), expected)
        assert not torch.allclose(joined(clips), alone(clips))
    assert not alone.branches
    assert not joined.supports_padding
    assert joined.minimum_samples == max(alone.minimum_samples, cnn.minimum_samples)


@pytest.mark.parametrize("whole", [False, True])
def test_several_stand_beside(cnn, clips, tmp_path, whole):
    first = cnn if whole else detector()
    third = build_detector(DetectorConfig.from_dict(CNN), seed=2).eval()
    joined = join(join(first, cnn, 0.6), third, 0.25)
    with torch.no_grad():
        expected = first(clips) + 0.6 * cnn(clips) + 0.25 * third(clips)
        torch.testing.assert_close(joined(clips), expected)
        save_detector(joined, tmp_path)
        assert torch.equal(load_detector(tmp_path)(clips), joined(clips))
    assert [branch.scale for branch in joined.config.branches] == [0.6, 0.25]
    assert not any(p.requires_grad for p in joined.branches.parameters())


def test_training_leaves_the_branch_alone(cnn, clips):
    joined = join(detector(), cnn, 0.6).train()
    before = {name: tensor.clone() for name, tensor in joined.branches.state_dict().items()}
    assert joined.training and not joined.branches[0].training
    parameters = list(joined.trained_parameters())
    joined(clips).sum().backward()
    assert any(p.grad is not None and p.grad.abs().max() > 0 for p in parameters)
    torch.optim.SGD(parameters, 0.1).step()
    for name, tensor in joined.branches.state_dict().items():
        assert torch.equal(tensor, before[name]), name


@pytest.mark.parametrize("alone", [False, True])
def test_round_trip(cnn, clips, tmp_path, alone):
    joined = join(detector(), cnn, 0.6)
    save_detector(joined, tmp_path, self_contained=alone)
    assert json.loads((tmp_path / "config.json").read_text())["format_version"] == 3
    again = load_detector(tmp_path)
    assert again.config.branches == joined.config.branches
    with torch.no_grad():
        assert torch.equal(again(clips), joined(clips))


def test_an_expert_grown_beside_it(cnn, clips, tmp_path):
    joined = join(detector(), cnn, 0.6)
    with torch.no_grad():
        before = joined(clips)
        joined.mixture.add_expert(1)
        assert torch.equal(joined(clips), before)
        save_detector(joined, tmp_path)
        again = load_detector(tmp_path)
        assert again.config.adaptation.mixture.grown == joined.config.adaptation.mixture.grown
        assert again.config.branches == joined.config.branches
        assert torch.equal(again(clips), before)


def test_without_one_a_checkpoint_is_as_before(tmp_path):
    save_detector(detector(), tmp_path)
    record = json.loads((tmp_path / "config.json").read_text())
    assert record["format_version"] == 1
    assert "branches" not in record["detector"]


def test_what_cannot_be_joined(cnn):
    plain = detector()
    raw = {**CNN, "encoder": {"type": "raw_aasist"}, "window": 64_600}
    with pytest.raises(InputError, match="raw_aasist takes no branches"):
        join(build_detector(DetectorConfig.from_dict(raw), seed=0), cnn, 1.0)
    for other in (plain, join(cnn, cnn, 1.0)):
        with pytest.raises(InputError, match="must be a spectrogram CNN by itself"):
            join(plain, other, 1.0)
    with pytest.raises(InputError, match="different front ends"):
        join(detector(front_end={"filter": "bandpass"}), cnn, 1.0)
    with pytest.raises(InputError, match="above 0"):
        join(plain, cnn, 0.0)
    with pytest.raises(ConfigError, match="takes no branches"):
        DetectorConfig.from_dict({**raw, "branches": [{}]})
