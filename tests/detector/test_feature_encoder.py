"""A feature encoder trained in full below a fixed transformer with adapters."""

import pytest
import torch
from safetensors.torch import load_file

from loradar.detector import DetectorConfig, build_detector, load_detector, save_detector
from loradar.detector.config import HuggingFaceEncoderConfig
from loradar.detector.encoders import build_encoder
from loradar.detector.pretrained import save_model
from loradar.errors import CheckpointError, ConfigError
from loradar.training.rates import rates
from loradar.training.recipe import TrainingConfig

SPECTRAL = {
    "model_type": "loradar-spectral",
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "stem_channels": [4, 6, 8],
}
WAV2VEC2 = {
    "model_type": "wav2vec2",
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "conv_dim": [8, 8],
    "conv_kernel": [10, 8],
    "conv_stride": [10, 8],
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
    "feat_extract_norm": "layer",
    "do_stable_layer_norm": True,
}
WHISPER = {
    "model_type": "whisper",
    "d_model": 24,
    "encoder_layers": 1,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
}


def make(encoder, mode="moe_lora", **options):
    return build_detector(
        DetectorConfig.from_dict(
            {
                "encoder": {
                    "type": "huggingface",
                    **encoder,
                    "freeze_feature_encoder": False,
                    **options,
                },
                "adaptation": {"mode": mode},
                "backend": {"name": "linear"},
            }
        ),
        seed=1,
    )


@pytest.fixture
def base(tmp_path):
    torch.manual_seed(0)
    encoder = build_encoder(HuggingFaceEncoderConfig(config=SPECTRAL))
    save_model(encoder.model, tmp_path / "base")
    return tmp_path / "base"


def step(detector):
    optimiser = torch.optim.SGD(detector.train().trained_parameters(), 0.05)
    detector(torch.randn(3, 8_000)).square().sum().backward()
    optimiser.step()
    return detector.eval()


@pytest.mark.parametrize(("config", "name"), [(SPECTRAL, "stem"), (WAV2VEC2, "feature_extractor")])
@pytest.mark.parametrize("mode", ["lora", "moe_lora"])
def test_the_convolutions_move_and_the_transformer_stays(config, name, mode):
    detector = make({"config": config}, mode)
    model = detector.encoder.model
    parts = (model.get_submodule(name), model.feature_projection)
    inside = {id(p) for part in parts for p in part.parameters()}
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    step(detector)
    adapters = {id(p) for p in detector.mixture.parameters()}
    for n, parameter in model.named_parameters():
        if id(parameter) in adapters:
            continue
        moved = not torch.equal(parameter, before[n])
        assert moved == (id(parameter) in inside), n


def test_batch_statistics_move_in_training_alone():
    detector = make({"config": SPECTRAL})
    stem = detector.encoder.model.stem
    mean = stem.norm.running_mean.clone()
    detector.eval()(torch.randn(2, 8_000))
    assert torch.equal(stem.norm.running_mean, mean)
    assert not detector.train().encoder.model.encoder.training  # no dropout in what is fixed
    detector(torch.randn(2, 8_000))
    assert not torch.equal(stem.norm.running_mean, mean)


def test_what_was_trained_is_saved_and_the_base_is_checked(base, tmp_path):
    detector = step(make({"id": str(base)}))
    save_detector(detector, tmp_path / "model")
    saved = load_file(tmp_path / "model" / "model.safetensors")
    assert "encoder.model.stem.conv.weight" in saved
    assert "encoder.model.stem.norm.running_mean" in saved
    assert "encoder.model.feature_projection.weight" in saved
    assert "encoder.model.encoder.layers.0.feed_in.weight" not in saved
    again = load_detector(tmp_path / "model")
    clips = torch.randn(2, 9_000)
    with torch.no_grad():
        assert torch.equal(again(clips), detector(clips))
    torch.manual_seed(5)
    other = build_encoder(HuggingFaceEncoderConfig(config=SPECTRAL))
    save_model(other.model, tmp_path / "other")
    with pytest.raises(CheckpointError, match="another base encoder"):
        load_detector(tmp_path / "model", base=str(tmp_path / "other"))


def test_layer_wise_rates_reach_it(base):
    detector = make({"id": str(base)})
    training = TrainingConfig(steps=1, learning_rate=1.0, layer_decay=0.5)
    found = {id(p): rate for rate, p in rates(detector, training)}
    assert found[id(detector.encoder.model.stem.conv.weight)] == 0.25  # below two blocks
    adapter = next(iter(detector.mixture.parameters()))
    assert found[id(adapter)] == 1.0


def test_an_encoder_without_one_is_refused():
    with pytest.raises(ConfigError, match="no feature encoder"):
        make({"config": WHISPER})


@pytest.mark.parametrize("config", [SPECTRAL, WAV2VEC2])
def test_where_nothing_of_it_trains_it_stays_as_it_is(config):
    """As when an expert is grown: statistics of batch norms must not follow the new clips."""
    detector = make({"config": config}).requires_grad_(False)
    before = {name: value.clone() for name, value in detector.state_dict().items()}
    detector.train()
    for part in detector.encoder.feature_encoder:
        assert not any(m.training for m in detector.encoder.model.get_submodule(part).modules())
    detector(torch.randn(3, 8_000))
    assert all(torch.equal(value, before[name]) for name, value in detector.state_dict().items())


def test_it_is_saved_whether_it_trains_now_or_not(base, tmp_path):
    detector = step(make({"id": str(base)})).requires_grad_(False)
    detector.mixture.add_expert()
    save_detector(detector, tmp_path / "grown")
    clip = torch.randn(2, 8_000)
    with torch.no_grad():
        assert torch.equal(load_detector(tmp_path / "grown").eval()(clip), detector.eval()(clip))
