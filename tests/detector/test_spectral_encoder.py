import json
import shutil

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoConfig, AutoModel

from loradar.detector import DetectorConfig, build_detector, load_detector, save_detector
from loradar.detector.config import HuggingFaceEncoderConfig
from loradar.detector.encoders import build_encoder
from loradar.detector.log_spectrum import LogSpectrum, log_spectrogram, spectra_of
from loradar.detector.pretrained import (
    config_of,
    load_model,
    make_model,
    register_models,
    save_model,
)
from loradar.detector.rotary import rotate, rotations
from loradar.detector.spectrogram_cnn import SpectrogramCnn
from loradar.errors import CheckpointError, ConfigError, InputError

SPECTRAL = {
    "model_type": "loradar-spectral",
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "stem_channels": [4, 6, 8],
}
CONFORMER = {
    "model_type": "wav2vec2-bert",
    "loradar_front_end": "log_spectrum",
    "feature_projection_input_dim": 448,
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "conv_depthwise_kernel_size": 5,
}
LINEAR = {"targets": ["linear_q", "linear_k", "linear_v", "linear_out"]}
BOTH = pytest.mark.parametrize("config", [SPECTRAL, CONFORMER], ids=["spectral", "conformer"])
MODES = ("frozen", "full", "lora", "moe_lora")


def make(config=SPECTRAL, *, seed=0, **options):
    torch.manual_seed(seed)
    encoder = build_encoder(HuggingFaceEncoderConfig(config=config, **options))
    stir_norms(encoder)
    return encoder.eval()


def stir_norms(model):
    """Batch norms as after training: statistics and offsets that are not 0 and 1."""
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for tensor in (module.running_mean, module.bias.data):
                tensor.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 2)


def detector(config, mode="moe_lora", **encoder):
    adaptation = {"mode": mode}
    if config["model_type"] == "wav2vec2-bert":
        adaptation |= {"lora": LINEAR, "moe_lora": LINEAR}
    source = encoder if "id" in encoder else {"config": config, **encoder}
    return build_detector(
        DetectorConfig.from_dict(
            {
                "encoder": {"type": "huggingface", **source},
                "adaptation": adaptation,
                "backend": {"name": "linear"},
            }
        ),
        seed=1,
    )


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    save_model(make().model, folder)
    return folder


def test_the_spectrogram_is_that_of_the_cnn_and_of_each_clip_alone_in_a_padded_batch():
    waveforms = torch.randn(2, 9_000)
    lengths = torch.tensor([9_000, 6_001])
    waveforms[1, 6_001:] = 0
    padded = log_spectrogram(waveforms, lengths)
    alone = log_spectrogram(waveforms[1:, :6_001])
    assert alone.shape == (1, 224, spectra_of(6_001))
    assert (padded[1, :, : alone.shape[2]] - alone[0]).abs().max() < 1e-5
    assert not padded[1, :, alone.shape[2] :].any()
    assert torch.allclose(padded[0], log_spectrogram(waveforms)[0], atol=1e-5)
    # Frames of two: neighbouring spectra side by side, an odd last one left out.
    pairs, single = LogSpectrum(2)(waveforms), log_spectrogram(waveforms).transpose(1, 2)
    assert pairs.shape == (2, spectra_of(9_000) // 2, 448)
    assert torch.equal(pairs[:, 3], single[:, 6:8].flatten(1))


@BOTH
@pytest.mark.parametrize("mix", ["last", "learned"])
def test_a_padded_clip_gets_what_it_gets_alone(config, mix):
    encoder = make(config, layer_mix=mix)
    assert encoder.supports_padding
    sizes = [9_000, 5_123, 3_001, 1_500]
    waveforms = torch.randn(4, 9_000)
    for row, size in enumerate(sizes):
        waveforms[row, size:] = 0
    with torch.no_grad():
        features, mask = encoder(waveforms, torch.tensor(sizes))
        for row, size in enumerate(sizes):
            alone, _ = encoder(waveforms[row : row + 1, :size])
            assert alone.shape[1] == encoder.frames(size) == int(mask[row].sum())
            assert (features[row, : alone.shape[1]] - alone[0]).abs().max() < 1e-4


@pytest.mark.parametrize("spectra", [2, 4])
@given(samples=st.integers(0, 9_000))
def test_frames_are_counted_as_they_come(spectra, samples):
    encoder = make({**SPECTRAL, "frame_spectra": spectra})
    assert encoder.hop == 160 * spectra
    count = encoder.frames(samples)
    if count > 0:
        with torch.no_grad():
            assert encoder(torch.randn(1, samples))[0].shape == (1, count, 24)
    else:
        assert samples < 512 + 160 * spectra


@BOTH
def test_layer_cut_and_mix(config):
    whole, cut = make(config), make(config, layers=2)
    mixed = make(config, layer_mix="learned")
    clip = torch.randn(1, 8_000)
    with torch.no_grad():
        sequences = mixed.layers(clip, None)
        assert len(sequences) == 4
        assert whole(clip)[0].shape == (1, whole.frames(8_000), 24)
        last = sequences[2]
        if config is SPECTRAL:
            last = cut.model.encoder.layer_norm(last)
        assert torch.allclose(cut(clip)[0], last, atol=1e-6)


def test_positions_are_relative():
    """The middle of a long clip does not know how long the clip is."""
    cosines, sines = rotations(50, 8)
    query, key = torch.randn(2, 1, 2, 1, 8)
    scores = rotate(query.expand(1, 2, 50, 8), cosines, sines) @ rotate(
        key.expand(1, 2, 50, 8), cosines, sines
    ).transpose(-1, -2)
    for distance in (0, 1, 17):
        diagonal = scores.diagonal(distance, dim1=-2, dim2=-1)
        assert (diagonal - diagonal[..., :1]).abs().max() < 1e-4
    assert scores.std() > 0.01


def test_time_matters():
    encoder = make()
    clip = torch.randn(1, 16_000)
    with torch.no_grad():
        swapped = torch.cat([clip[:, 8_000:], clip[:, :8_000]], dim=1)
        one, two = encoder(clip)[0].mean(1), encoder(swapped)[0].mean(1)
    assert (one - two).abs().max() > 1e-3


@BOTH
@pytest.mark.parametrize("mode", MODES)
def test_every_mode_trains_and_comes_back(config, mode, tmp_path):
    model = detector(config, mode)
    optimiser = torch.optim.SGD(model.trained_parameters(), 1e-2)
    before = {name: tensor.clone() for name, tensor in model.base_tensors().items()}
    for _ in range(2):
        loss = model(torch.randn(3, 8_000)).square().sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    changed = [n for n, t in model.base_tensors().items() if not torch.equal(t, before[n])]
    assert bool(changed) == (mode == "full")
    if config is SPECTRAL:
        # A fixed base keeps the statistics of its batch norms too.
        assert ("stem.norm.running_mean" in changed) == (mode == "full")
    save_detector(model.eval(), tmp_path)
    clips = torch.randn(2, 8_000)
    with torch.no_grad():
        assert torch.equal(load_detector(tmp_path)(clips), model(clips))


def test_adapters_on_every_projection_of_every_layer():
    adapters = detector(SPECTRAL).mixture.adapters
    assert sorted(adapters) == sorted(
        f"encoder.layers.{layer}.attention.{name}_proj"
        for layer in range(3)
        for name in ("q", "k", "v", "out")
    )


def test_training_draws_nothing_in_a_detector():
    model = detector(
        {**SPECTRAL, "hidden_dropout": 0.0, "attention_dropout": 0.0, "apply_spec_augment": True}
    )
    clip = torch.randn(2, 8_000)
    with torch.no_grad():
        assert torch.equal(model.train()(clip), model.eval()(clip))


def test_spec_augment_draws_in_pre_training_alone():
    encoder = make({**SPECTRAL, "hidden_dropout": 0.0, "attention_dropout": 0.0})
    encoder.train()
    encoder.freeze_feature_encoder()
    clip = torch.randn(2, 16_000)
    with torch.no_grad():
        quiet = encoder(clip)[0]
        assert torch.equal(encoder(clip)[0], quiet)
        encoder.model.config.apply_spec_augment = True
        assert not torch.equal(encoder(clip)[0], quiet)


@pytest.mark.parametrize("mode", MODES)
def test_spec_augment_draws_in_training_where_the_recipe_asks(mode):
    quiet = {**SPECTRAL, "hidden_dropout": 0.0, "attention_dropout": 0.0}
    model = detector(quiet, mode, spec_augment=True)
    clip = torch.randn(2, 16_000)
    with torch.no_grad():
        model.encoder.model.stem.eval()  # what is left to differ are the masks
        assert not torch.equal(model(clip), model(clip))
        assert torch.equal(model.eval()(clip), model(clip))


def test_spec_augment_is_refused_where_no_spectrogram_is_read():
    with pytest.raises(ConfigError, match="spec_augment is true, but encoder"):
        build_encoder(HuggingFaceEncoderConfig(config=CONFORMER, spec_augment=True))


def test_a_fixed_stem_keeps_its_statistics_in_full_training():
    model = detector(SPECTRAL, "full", freeze_feature_encoder=True)
    stem = {n: t.clone() for n, t in model.encoder.model.stem.state_dict().items()}
    model.train()(torch.randn(3, 8_000)).sum().backward()
    after = model.encoder.model.stem.state_dict()
    assert all(torch.equal(stem[name], after[name]) for name in stem)
    assert model.encoder.model.feature_projection.weight.grad is not None


def test_frozen_in_bfloat16():
    one, two = (detector(SPECTRAL, "moe_lora", frozen_dtype=d) for d in ("float32", "bfloat16"))
    two.load_state_dict(one.state_dict())
    clips = torch.randn(2, 8_000)
    exact, rounded = one.eval()(clips), two.eval()(clips)
    assert rounded.dtype == torch.float32
    assert two.encoder.model.stem.norm.running_mean.dtype == torch.bfloat16
    assert 0 < (exact - rounded).abs().max() < 0.1
    rounded.sum().backward()


def test_transformers_loads_the_folder(base):
    register_models()
    register_models()
    model = AutoModel.from_pretrained(base).eval()
    spectrum = LogSpectrum()(torch.randn(1, 8_000))
    encoder = build_encoder(HuggingFaceEncoderConfig(id=str(base))).eval()
    with torch.no_grad():
        assert torch.equal(
            model(spectrum).last_hidden_state, encoder.model(spectrum).last_hidden_state
        )
    assert AutoConfig.from_pretrained(base).stem_channels == [4, 6, 8]


def test_what_transformers_writes_is_read_and_may_hold_what_it_adds(base, tmp_path):
    register_models()
    AutoModel.from_pretrained(base).save_pretrained(tmp_path)
    one, two = load_model(str(base)), load_model(str(tmp_path))
    assert not two.training
    spectrum = LogSpectrum()(torch.randn(1, 8_000))
    assert torch.equal(one(spectrum).last_hidden_state, two(spectrum).last_hidden_state)
    assert make_model({**SPECTRAL, "return_dict": True}).config.hidden_size == 24


def test_both_faces_draw_the_same_weights_and_tell_the_same_configuration():
    register_models()
    torch.manual_seed(5)
    own = make_model(SPECTRAL)
    torch.manual_seed(5)
    others = AutoModel.from_config(AutoConfig.for_model(**SPECTRAL))
    state, other = own.state_dict(), others.state_dict()
    assert list(state) == list(other)
    assert all(torch.equal(state[name], other[name]) for name in state)
    assert config_of(own) == config_of(others)


def test_loading_draws_nothing(base):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    load_model(str(base))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "model.safetensors").write_bytes(b"nothing"), "cannot load"),
        (lambda folder: change(folder, num_hidden_layers=4), "the weights lack 16 tensors"),
        (lambda folder: change(folder, intermediate_size=33), "size mismatch|cannot load"),
        (lambda folder: change(folder, hidden_size="wide"), "cannot load"),
        (lambda folder: (folder / "config.json").write_text("[1]"), "not a configuration"),
        (lambda folder: (folder / "config.json").write_text("{"), "cannot be read"),
    ],
    ids=["weights", "layers", "shape", "type", "list", "json"],
)
def test_a_spoilt_folder_is_one_clear_line(base, tmp_path, spoil, message):
    folder = shutil.copytree(base, tmp_path / "spoilt")
    spoil(folder)
    with pytest.raises(InputError, match=message) as info:
        load_model(str(folder))
    assert str(folder) in str(info.value)
    assert "\n" not in str(info.value)


def change(folder, **values):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_another_base_is_noticed_by_its_statistics_too(base, tmp_path):
    save_detector(detector(SPECTRAL, id=str(base)), tmp_path / "run")
    assert load_detector(tmp_path / "run")
    other = load_model(str(base))
    other.stem.norm.running_mean += 0.1
    save_model(other, tmp_path / "other")
    with pytest.raises(CheckpointError, match="another base"):
        load_detector(tmp_path / "run", base=str(tmp_path / "other"))


@BOTH
def test_a_configuration_makes_the_same_model_again(config):
    model = make_model(config)
    values = json.loads(json.dumps(config_of(model)))
    again = make_model(values)
    assert {n: t.shape for n, t in again.state_dict().items()} == {
        n: t.shape for n, t in model.state_dict().items()
    }
    assert values.get("loradar_front_end") == config.get("loradar_front_end")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({**SPECTRAL, "hidden_size": 26}, "divisible by twice num_attention_heads"),
        ({**SPECTRAL, "frame_spectra": 3}, "frame_spectra is 3, not 2 or 4"),
        ({**SPECTRAL, "stem_channels": [4, 4]}, "stem_channels holds 2 numbers"),
        ({**SPECTRAL, "loradar_front_end": "mel"}, "has no loradar_front_end"),
        ({**CONFORMER, "loradar_front_end": "cqt"}, "is 'cqt'; there are mel and log_spectrum"),
        ({**CONFORMER, "feature_projection_input_dim": 257}, "set it to 224 or 448"),
        ({**CONFORMER, "loradar_front_end": "mel"}, "mel filterbank gives 160"),
    ],
)
def test_what_does_not_fit_is_refused(config, message):
    with pytest.raises(ConfigError, match=message) as info:
        build_encoder(HuggingFaceEncoderConfig(config=config))
    assert "\n" not in str(info.value)


def test_the_cnn_has_the_weights_it_had():
    names = set(SpectrogramCnn().state_dict())
    assert {"stem.0.weight", "blocks.1.shortcut.weight", "blocks.2.norm2.running_var"} <= names
