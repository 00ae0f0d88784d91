import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from loradar.detector.config import FrontEndConfig
from loradar.detector.front_end import FrontEnd

FILTERS = ("none", "highpass", "bandpass")


def tone(hz, samples=32_000):
    return torch.sin(2 * torch.pi * hz * torch.arange(samples) / 16_000).unsqueeze(0)


@settings(max_examples=25, deadline=None)
@given(
    kind=st.sampled_from(FILTERS),
    normalise=st.booleans(),
    sizes=st.lists(st.integers(2, 5_000), min_size=1, max_size=4),
    seed=st.integers(0, 999),
)
def test_a_padded_clip_gets_what_it_gets_alone(kind, normalise, sizes, seed):
    rng = np.random.default_rng(seed)
    front_end = FrontEnd(FrontEndConfig(filter=kind, normalise=normalise))
    # Rubbish beyond the clips must not matter.
    batch = torch.from_numpy(rng.standard_normal((len(sizes), max(sizes) + 7)).astype(np.float32))
    found = front_end(batch, torch.tensor(sizes))
    assert found.shape == batch.shape
    for row, size in enumerate(sizes):
        alone = front_end(batch[row : row + 1, :size])[0]
        assert (found[row, :size] - alone).abs().max() < 1e-5 * max(1, float(alone.abs().max()))
        assert not found[row, size:].any()


@pytest.mark.parametrize(
    ("kind", "hz", "gain"),
    [
        ("highpass", 20, 0.0),
        ("highpass", 80, 0.5),
        ("highpass", 200, 1.0),
        ("highpass", 7_500, 1.0),
        ("bandpass", 20, 0.0),
        ("bandpass", 1_000, 1.0),
        ("bandpass", 7_000, 0.5),
        ("bandpass", 7_100, 0.0),
        ("none", 20, 1.0),
    ],
)
def test_gain_and_no_delay(kind, hz, gain):
    front_end = FrontEnd(FrontEndConfig(filter=kind, normalise=False))
    middle = slice(4_000, -4_000)
    found, expected = front_end(tone(hz))[:, middle], gain * tone(hz)[:, middle]
    assert (found - expected).abs().max() < 0.02


def test_normalised_to_zero_mean_and_unit_variance():
    clip = 3 + 0.01 * torch.randn(2, 9_000, generator=torch.Generator().manual_seed(0))
    found = FrontEnd(FrontEndConfig())(clip)
    assert found.mean(1).abs().max() < 1e-4
    assert (found.var(1) - 1).abs().max() < 5e-3


def test_silence_stays_silent():
    found = FrontEnd(FrontEndConfig(filter="bandpass"))(torch.zeros(1, 4_000))
    assert not found.any()


def test_kernel_is_not_saved():
    assert not FrontEnd(FrontEndConfig(filter="bandpass")).state_dict()
