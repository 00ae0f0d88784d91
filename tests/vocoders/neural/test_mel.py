"""The log-mel front end."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from loradar.vocoders.neural.mel import FLOOR, LogMel, mel_filters


@settings(max_examples=15, deadline=None)
@given(length=st.integers(1, 5000))
def test_frames_are_centred_every_hop(length):
    assert LogMel()(torch.zeros(1, length)).shape == (1, 80, length // 256 + 1)


def test_silence_is_the_floor():
    assert torch.allclose(LogMel()(torch.zeros(1, 1000)), torch.tensor(math.log(FLOOR)))


@pytest.mark.parametrize("hertz", [300.0, 1000.0, 4000.0])
def test_a_tone_peaks_in_its_band(hertz):
    time = torch.arange(16_000) / 16_000
    log_mel = LogMel()(0.1 * torch.sin(2 * torch.pi * hertz * time)[None])
    filters = mel_filters(80, 1024, 0.0, 8000.0, 16_000)
    peak = int(log_mel[0, :, 30].argmax())
    # The band that responds most to that bin.
    assert abs(peak - int(filters[:, round(hertz / 8000 * 512)].argmax())) <= 1


def test_an_impulse_is_loudest_in_the_frame_it_is_at():
    x = torch.zeros(1, 8192)
    x[0, 10 * 256] = 1.0
    assert int(LogMel()(x)[0].mean(0).argmax()) == 10


@pytest.mark.parametrize(("bands", "n_fft"), [(40, 512), (80, 1024), (128, 512)])
def test_no_filter_is_empty(bands, n_fft):
    filters = mel_filters(bands, n_fft, 0.0, 8000.0, 16_000)
    assert filters.shape == (bands, n_fft // 2 + 1)
    assert (filters.sum(1) > 0).all()
    assert (filters >= 0).all()
    assert filters.max() <= 1.0


def test_the_gradient_is_finite_in_silence():
    x = torch.zeros(1, 2048, requires_grad=True)
    LogMel()(x).sum().backward()
    assert torch.isfinite(x.grad).all()


def test_halving_the_level_lowers_every_band_by_log_two():
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((1, 4096)).astype(np.float32))
    mel = LogMel()
    difference = mel(x) - mel(0.5 * x)
    assert torch.allclose(difference, torch.tensor(math.log(2.0)), atol=1e-4)
