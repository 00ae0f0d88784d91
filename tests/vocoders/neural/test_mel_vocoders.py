"""The iSTFT and the upsampling vocoder."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from loradar.vocoders.neural.config import build_vocoder
from loradar.vocoders.neural.gan import GanConfig, SubbandSynthesis, synthesis_filters
from loradar.vocoders.neural.istft import IstftConfig, inverse_stft, overlap_add
from loradar.vocoders.neural.mel import stft

SMALL = {
    "istft": IstftConfig(bands=40, n_fft=512, hop=128, width=16, hidden=32, blocks=2),
    "gan": GanConfig(
        bands=40,
        n_fft=512,
        width=16,
        hidden=32,
        blocks=1,
        rates=(8, 4),
        channels=(16, 8),
        subbands=4,
    ),
}


def built(family):
    torch.manual_seed(0)
    return build_vocoder(SMALL[family]).eval()


@settings(max_examples=15, deadline=None)
@given(length=st.integers(1, 3000), seed=st.integers(0, 2**32 - 1))
def test_inverse_stft_undoes_the_stft(length, seed):
    x = torch.from_numpy(np.random.default_rng(seed).standard_normal((2, length)))
    window = torch.hann_window(512, dtype=torch.float64)
    spectrum = stft(x, 512, 128, window).transpose(1, 2)
    assert torch.allclose(inverse_stft(spectrum, window, 128, length), x, atol=1e-9)


def test_overlap_add_sums_what_overlaps():
    frames = torch.ones(1, 3, 4)
    assert overlap_add(frames, 2).tolist() == [[1, 1, 2, 2, 2, 2, 1, 1]]


@pytest.mark.parametrize("count", [2, 4, 8, 16])
def test_subbands_join_to_what_was_split(count):
    join = SubbandSynthesis(count)
    filters = torch.from_numpy(synthesis_filters(count, 16 * count - 2)).flip(1)
    x = torch.randn(1, 400 * count)
    bands = torch.nn.functional.conv1d(x[:, None], filters[:, None], padding=8 * count - 1)
    error = (join(bands[..., ::count]) - x)[:, 16 * count : -16 * count]
    assert 10 * torch.log10(error.square().mean() / x.square().mean()) < -45


def test_the_input_names_the_subbands_levels():
    model = build_vocoder(GanConfig(width=8, hidden=8, channels=(8, 8)))
    x = 0.1 * torch.sin(2 * torch.pi * 2500 / 16_000 * torch.arange(16_000))[None]
    levels = model.levels(model.mel(x))[0, :, 500:-500].mean(-1)
    assert int(levels.argmax()) == 2  # the third kilohertz
    assert 0.5 < float(levels[2] / (0.1 / 2**0.5)) < 1.5


@pytest.mark.parametrize("family", SMALL)
@pytest.mark.parametrize("length", [1, 127, 128, 3000])
def test_a_copy_has_the_length_of_its_source(family, length):
    model = built(family)
    x = torch.randn(1, length) * 0.05
    copy = model.resynthesise(x, {}, np.random.default_rng(0))
    assert copy.shape == x.shape
    assert torch.isfinite(copy).all()


@pytest.mark.parametrize("family", SMALL)
def test_training_reaches_every_weight(family):
    model = built(family).train()
    output = model.training_output(torch.randn(2, 1024) * 0.05)
    assert output.waveform.shape == (2, 1024)
    assert output.losses == {}
    output.waveform.square().sum().backward()
    for name, weight in model.named_parameters():
        assert weight.grad is not None, name
        assert torch.isfinite(weight.grad).all(), name
        assert weight.grad.abs().sum() > 0, name


@pytest.mark.parametrize("family", SMALL)
def test_frames_have_a_place(family):
    # A click moved by one frame moves the copy by one frame.
    model = built(family)
    copies = []
    for at in (20, 21):
        x = torch.zeros(1, 128 * 42)
        x[0, 128 * at] = 0.9
        copies.append(model.resynthesise(x, {}, np.random.default_rng(0)))
    inner = slice(128 * 15, 128 * 25)
    later = slice(inner.start + 128, inner.stop + 128)
    assert torch.allclose(copies[0][:, inner], copies[1][:, later], atol=1e-5)
    assert copies[0].std() > 0


def test_the_acoustic_settings_change_the_copy():
    model = built("istft")
    x = torch.randn(1, 4000) * 0.05
    exact = model.resynthesise(x, {"acoustic": {}}, np.random.default_rng(0))
    coarse = model.resynthesise(x, {"acoustic": {"quantise": 1.0}}, np.random.default_rng(0))
    assert torch.equal(exact, model.resynthesise(x, {}, np.random.default_rng(0)))
    assert not torch.allclose(exact, coarse, atol=1e-4)


@pytest.mark.parametrize(
    ("config", "values", "message"),
    [
        (IstftConfig, {"n_fft": 1000}, "multiple"),
        (IstftConfig, {"kernel": 4}, "odd"),
        (IstftConfig, {"colour": 1}, "Extra"),
        (GanConfig, {"rates": (8, 8, 2)}, "one of each"),
        (GanConfig, {"subbands": 7}, "multiple"),
        (GanConfig, {"kernels": (3, 4)}, "odd"),
        (GanConfig, {"dilations": (0,)}, "1 or more"),
    ],
)
def test_configurations_that_cannot_be_are_refused(config, values, message):
    with pytest.raises(ValidationError, match=message):
        config(**values)


@pytest.mark.parametrize("config", [IstftConfig(), GanConfig()], ids=lambda c: c.family)
def test_the_shipped_sizes(config):
    count = sum(weight.numel() for weight in build_vocoder(config).parameters())
    assert 0.5e6 <= count <= 2.4e6
