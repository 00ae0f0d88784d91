"""What routers hear of the waveform."""

import torch
from tests.conftest import TINY_ENCODER
from torch import nn

from loradar.detector.building import build_detector
from loradar.detector.checkpoint import load_detector, save_detector
from loradar.detector.config import DetectorConfig
from loradar.detector.listener import Listener
from loradar.inference.export.graph import ScoreGraph


def detector_with(seed=0, **mixture):
    config = {
        "encoder": {"type": "huggingface", "config": TINY_ENCODER},
        "adaptation": {"mode": "moe_lora", "moe_lora": {"experts": 4, "rank": 2, **mixture}},
        "backend": {"name": "linear"},
        "window": 16_000,
    }
    return build_detector(DetectorConfig.from_dict(config), seed=seed)


def test_bands_start_beside_each_other_and_level_does_not_matter():
    listener = Listener(8)
    seconds = torch.arange(16_000) / 16_000
    for band, hertz in ((0, 400.0), (3, 3_000.0), (7, 6_500.0)):
        tone = torch.sin(2 * torch.pi * hertz * seconds)[None]
        assert listener(tone).argmax() == band
    noise = torch.randn(1, 16_000)
    torch.testing.assert_close(listener(noise), listener(4 * noise), atol=0.05, rtol=0)


def test_beyond_a_clip_nothing_is_heard():
    listener = Listener(4)
    waveforms = torch.randn(2, 8_000)
    together = listener(waveforms, torch.tensor([8_000, 5_000]))
    torch.testing.assert_close(together[0], listener(waveforms[:1])[0])
    torch.testing.assert_close(together[1], listener(waveforms[1:, :5_000])[0])


def test_a_detector_with_one_learns_by_it_and_is_saved(tmp_path):
    detector = detector_with(cue_size=6)
    waveforms = torch.randn(2, 16_000)
    for adapter in detector.mixture.adapters.values():
        nn.init.normal_(adapter.B)
    for router in detector.mixture.routers.values():
        nn.init.normal_(router.cue_weight)
    detector(waveforms).sum().backward()
    assert detector.listener.weight.grad.any()
    assert detector.listener.norm.weight.grad.any()
    detector.eval()
    scores = detector(waveforms)
    save_detector(detector, tmp_path)
    again = load_detector(tmp_path).eval()
    assert again.config.adaptation.moe_lora["cue_size"] == 6
    assert torch.equal(again(waveforms), scores)
    nn.init.zeros_(again.listener.norm.weight)
    assert not torch.equal(again(waveforms), scores)
    assert detector_with().listener is None


def test_the_graph_that_is_exported_hears_it():
    detector = detector_with(cue_size=6)
    for router in detector.mixture.routers.values():
        nn.init.normal_(router.cue_weight)
    for adapter in detector.mixture.adapters.values():
        nn.init.normal_(adapter.B)
    waveforms = torch.randn(2, 16_000)
    expected = detector.score(detector.eval()(waveforms))
    found = ScoreGraph(detector)(waveforms)[0]
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    detector.listener = None
    assert not torch.equal(ScoreGraph(detector)(waveforms)[0], found)
