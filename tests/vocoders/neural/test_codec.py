"""The codec and its quantiser."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from loradar.vocoders.neural.codec import CodecConfig, CodecVocoder
from loradar.vocoders.neural.quantiser import ResidualQuantiser

SMALL = CodecConfig(width=16, hidden=32, blocks=1, codebooks=4, codebook_size=16, code_width=8)


def built(config=SMALL):
    """A codec whose codebooks one batch has placed."""
    torch.manual_seed(0)
    model = CodecVocoder(config)
    with torch.no_grad():
        model.training_output(torch.randn(4, 2560) * 0.05)
    return model.eval()


@pytest.mark.parametrize("length", [1, 127, 128, 3000])
def test_a_copy_has_the_length_of_its_source(length):
    x = torch.randn(1, length) * 0.05
    copy = built().resynthesise(x, {"codebooks": 2}, np.random.default_rng(0))
    assert copy.shape == x.shape
    assert torch.isfinite(copy).all()


def test_the_number_of_codebooks_counts_and_all_are_the_default():
    model = built()
    x = torch.randn(1, 2560) * 0.05
    copies = [
        model.resynthesise(x, {"codebooks": n}, np.random.default_rng(n)) for n in range(1, 5)
    ]
    assert not torch.allclose(copies[0], copies[3], atol=1e-6)
    first = model.resynthesise(x, {}, np.random.default_rng(9))
    assert torch.equal(first, model.resynthesise(x, {"codebooks": 4}, np.random.default_rng(9)))
    for wrong in (0, 5):
        with pytest.raises(ValueError, match=r"not in 1\.\.4"):
            model.resynthesise(x, {"codebooks": wrong}, np.random.default_rng(0))


def test_the_hiss_follows_its_generator():
    model = built()
    x = torch.randn(1, 2560) * 0.05
    copies = [model.resynthesise(x, {}, np.random.default_rng(seed)) for seed in (0, 1)]
    assert not torch.allclose(copies[0], copies[1], atol=1e-6)


def test_the_filters_shape_both_sources():
    model = built()
    frames = torch.zeros(1, 40, 8)
    hidden, tonal = torch.zeros(1, 40, 16), torch.randn(1, 40 * 128)
    noise = torch.randn(model.noise_shape(frames))
    with torch.no_grad():
        model.filters.weight.zero_()
        model.filters.bias.fill_(-30.0)
        bias = model.filters.bias.view(2, 257)
        bias[0] = 0.0
        assert torch.allclose(model._filtered(hidden, tonal, noise), tonal, atol=1e-5)
        bias[0], bias[1, 128:] = -30.0, 0.0
        hiss = model._filtered(hidden, tonal, noise)
    power = torch.fft.rfft(hiss).abs().square()[0]
    assert power[: 20 * 60].sum() < 0.02 * power[20 * 68 :].sum()
    # Frames of noise are independent, so they add by power: half of what frames of one wave do.
    level = power[20 * 68 :].mean().sqrt().item() / (40 * 128) ** 0.5
    assert level == pytest.approx(0.5, rel=0.2)


def test_training_reaches_every_weight_and_lowers_the_waveform_error():
    torch.manual_seed(0)
    model = CodecVocoder(SMALL).train()
    x = torch.sin(torch.arange(2560) * 0.05)[None].repeat(4, 1) * 0.08
    output = model.training_output(x)
    assert output.waveform.shape == x.shape
    assert set(output.losses) == {"commitment", "waveform"}
    (output.waveform.square().sum() + sum(output.losses.values())).backward()
    for name, weight in model.named_parameters():
        assert weight.grad is not None, name
        assert torch.isfinite(weight.grad).all(), name
        assert weight.grad.abs().sum() > 0, name
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    errors = []
    for _ in range(60):
        losses = model.training_output(x).losses
        optimiser.zero_grad()
        sum(losses.values()).backward()
        optimiser.step()
        errors.append(losses["waveform"].item())
    assert np.mean(errors[-5:]) < 0.5 * np.mean(errors[:5])


def test_the_same_seed_trains_the_same_codebooks():
    assert torch.equal(built().quantiser.codes, built().quantiser.codes)


def test_more_codebooks_leave_less():
    torch.manual_seed(0)
    quantiser = ResidualQuantiser(codebooks=4, size=32, width=8)
    vectors = torch.randn(4, 200, 8)
    for _ in range(60):
        quantiser(vectors, torch.full((4,), 4))
    quantiser.eval()
    errors = []
    for count in range(1, 5):
        copy, _ = quantiser(vectors, torch.full((4,), count))
        errors.append((copy - vectors).square().mean().item())
    assert errors == sorted(errors, reverse=True)
    assert errors[3] < 0.5 * errors[0] < 0.5


@settings(max_examples=15, deadline=None)
@given(count=st.integers(1, 3), seed=st.integers(0, 2**31))
def test_codes_tell_what_quantising_gives(count, seed):
    torch.manual_seed(seed)
    quantiser = ResidualQuantiser(codebooks=3, size=8, width=4)
    quantiser(torch.randn(2, 50, 4), torch.tensor([3, 3]))
    quantiser.eval()
    vectors = torch.randn(2, 9, 4)
    numbers = quantiser.encode(vectors, count)
    assert numbers.shape == (count, 2, 9)
    assert numbers.min() >= 0
    assert numbers.max() < 8
    copy, _ = quantiser(vectors, torch.full((2,), count))
    assert torch.allclose(quantiser.decode(numbers), copy, atol=1e-5)


def test_rows_use_only_their_codebooks_and_gradients_pass_straight_through():
    torch.manual_seed(0)
    quantiser = ResidualQuantiser(codebooks=2, size=8, width=4)
    vectors = torch.randn(2, 50, 4, requires_grad=True)
    quantiser(vectors, torch.tensor([2, 2]))
    quantiser.eval()
    mixed, _ = quantiser(vectors, torch.tensor([1, 2]))
    alone, _ = quantiser(vectors, torch.tensor([1, 1]))
    assert torch.equal(mixed[0], alone[0])
    assert not torch.equal(mixed[1], alone[1])
    mixed.sum().backward()
    assert torch.equal(vectors.grad, torch.ones_like(vectors))


def test_codes_that_nobody_chooses_are_placed_anew():
    torch.manual_seed(0)
    quantiser = ResidualQuantiser(codebooks=1, size=8, width=2)
    quantiser(torch.randn(1, 64, 2) + 100, torch.tensor([1]))
    for _ in range(200):
        quantiser(torch.randn(1, 64, 2), torch.tensor([1]))
    assert quantiser.codes.abs().max() < 10


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"least_codebooks": 9}, "exceeds"),
        ({"width": 15}, "multiple"),
        ({"colour": 1}, "Extra"),
    ],
)
def test_configurations_that_cannot_be_are_refused(values, message):
    with pytest.raises(ValidationError, match=message):
        CodecConfig(**values)


def test_the_shipped_size():
    count = sum(weight.numel() for weight in CodecVocoder(CodecConfig()).parameters())
    assert 0.5e6 <= count <= 2.4e6
