"""Detectors whose experts are spread unevenly, route themselves, or are singular values."""

import json

import pytest
import torch
from tests.conftest import TINY_ENCODER

from loradar.detector import DetectorConfig, build_detector, load_detector, save_detector
from loradar.errors import ConfigError

LEVERS = {
    "mola": {"experts_by_layer": [2, 4]},
    "furina": {"experts": 4, "routing": "self", "selection_weight": 0.01},
    "singular_values": {"experts": 4, "kind": "singular_values", "rank": 16},
    "singular_matrix": {"experts": 4, "kind": "singular_matrix", "rank": 4},
}


def build(encoder=None, **options):
    config = {
        "encoder": encoder or {"type": "huggingface", "config": TINY_ENCODER},
        "adaptation": {"mode": "moe_lora", "moe_lora": {"rank": 2, **options}},
        "backend": {"name": "linear"},
        "window": 6_000,
    }
    return build_detector(DetectorConfig.from_dict(config), seed=0).eval()


def stir(detector):
    """Let experts that start at nothing act."""
    with torch.no_grad():
        for parameter in detector.mixture.parameters():
            parameter.normal_(0, 0.3, generator=torch.Generator().manual_seed(1))


@pytest.fixture(params=LEVERS)
def detector(request):
    made = build(**LEVERS[request.param])
    stir(made)
    return made


def test_a_folder_gives_the_detector_back(detector, tmp_path):
    clips = torch.randn(2, 6_000)
    with torch.no_grad():
        expected = detector(clips)
    save_detector(detector, tmp_path)
    again = load_detector(tmp_path)
    assert again.config.adaptation == detector.config.adaptation
    with torch.no_grad():
        assert torch.equal(again(clips), expected)
    gates = again.score_windows(clips.numpy())[1]
    assert gates.keys() == again.mixture.context.routings.keys()


def test_one_base_beside_the_experts_folder(tmp_path):
    from loradar.detector.pretrained import make_model, save_model

    torch.manual_seed(0)
    save_model(make_model(TINY_ENCODER), tmp_path / "base")
    base = {"type": "huggingface", "id": str(tmp_path / "base")}
    made = build(base, **LEVERS["singular_matrix"])
    stir(made)
    save_detector(made, tmp_path / "model")
    # Its directions are saved with the experts, the base is not.
    names = made.trained_state().keys()
    assert any(name.endswith("q_proj.below") for name in names)
    assert not any(".base." in name for name in names)
    clips = torch.randn(2, 6_000)
    with torch.no_grad():
        assert torch.equal(load_detector(tmp_path / "model")(clips), made(clips))


def test_scores_in_lower_precision_are_near(detector):
    clips = torch.randn(2, 6_000).numpy()
    expected = detector.score_windows(clips)[0]
    for precision in ("bfloat16", "int8"):
        detector.set_precision(precision)
        assert abs(detector.score_windows(clips)[0] - expected).max() < 0.5


def test_old_settings_are_written_as_before():
    written = build(experts=4).config.to_dict()["adaptation"]["moe_lora"]
    new = {"experts_by_layer", "routing", "selection_weight", "kind"}
    assert not new & written.keys()
    back = json.loads(json.dumps(build(**LEVERS["mola"]).config.to_dict()))
    assert back["adaptation"]["moe_lora"]["experts_by_layer"] == [2, 4]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"experts_by_layer": [2, 3, 4]}, "has 3 numbers, but 2 blocks"),
        ({"kind": "singular_values", "rank": 17}, "has 16 singular values"),
        ({"routing": "self", "granularity": "utterance"}, "does not go with granularity"),
    ],
)
def test_what_does_not_fit_is_one_line(options, message):
    with pytest.raises(ConfigError, match=message) as caught:
        build(**options)
    assert "\n" not in str(caught.value)
