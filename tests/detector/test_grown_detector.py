"""A detector whose experts come, go and are frozen."""

import json

import pytest
import torch
from tests.conftest import TINY_ENCODER

from loradar.detector import DetectorConfig, build_detector, load_detector, save_detector


@pytest.fixture
def make():
    def build(mode="moe_lora", backend="linear", **adaptation):
        config = {
            "encoder": {"type": "huggingface", "config": TINY_ENCODER},
            "adaptation": {"mode": mode, mode: {"rank": 2, **adaptation}},
            "backend": {"name": backend},
        }
        detector = build_detector(DetectorConfig.from_dict(config), seed=0).eval()
        for adapter in detector.mixture.adapters.values():
            torch.nn.init.normal_(adapter.B)
        return detector

    return build


@pytest.mark.parametrize(("mode", "options"), [("moe_lora", {"experts": 3}), ("lora", {})])
def test_a_grown_detector_is_saved_loaded_and_pruned(make, tmp_path, mode, options):
    detector = make(mode, **options)
    old = detector.config
    clips = torch.randn(2, 6_000)
    with torch.no_grad():
        before = detector(clips)
        number = detector.mixture.add_expert()
        assert torch.equal(detector(clips), before)
        for gates in detector.mixture.growth.values():
            torch.nn.init.normal_(gates.rows[0])
        after = detector(clips)
    assert not torch.equal(after, before)
    assert detector.config.adaptation.mixture.grown == (2,)
    save_detector(detector, tmp_path)
    # A Loradar that does not know growth refuses the folder by its version.
    assert json.loads((tmp_path / "config.json").read_text())["format_version"] == 2
    again = load_detector(tmp_path)
    with torch.no_grad():
        assert torch.equal(again(clips), after)
        again.mixture.remove(number)
        assert torch.equal(again(clips), before)
    assert again.config.adaptation.mixture == old.adaptation.mixture
    save_detector(again, tmp_path / "pruned")
    assert json.loads((tmp_path / "pruned" / "config.json").read_text())["format_version"] == 1


def test_frozen_experts_are_remembered(make, tmp_path):
    detector = make(experts=2)
    detector.mixture.freeze(0, 1)
    save_detector(detector, tmp_path)
    again = load_detector(tmp_path)
    assert again.config.adaptation.mixture.frozen == (0, 1)
    assert not any(p.requires_grad for p in again.mixture.parameters())


def test_what_is_fixed_stays_in_evaluation(make):
    detector = make(backend="aasist", experts=2, dropout=0.5, noise=1.0)
    clips = torch.randn(2, 6_000)
    detector.requires_grad_(False)
    detector.mixture.add_expert()
    state = {name: tensor.clone() for name, tensor in detector.state_dict().items()}
    with torch.no_grad():
        before = detector(clips)
        assert torch.equal(detector.train()(clips), before)
    # Statistics of the back-end's batch norms among them.
    assert all(torch.equal(state[name], value) for name, value in detector.state_dict().items())
    assert detector.mixture.adapters and all(
        expert.training
        for adapter in detector.mixture.adapters.values()
        for expert in adapter.grown_experts
    )
    detector.backend.requires_grad_(True)
    assert detector.train().backend.training
