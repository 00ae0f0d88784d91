"""Losses and discriminators of vocoder training."""

import pytest
import torch

from loradar.training.vocoder.discriminators import Discriminators
from loradar.training.vocoder.losses import (
    SpectralLoss,
    adversarial_loss,
    discriminator_loss,
    feature_loss,
)


def speech(seed=0, batch=2, length=4096):
    torch.manual_seed(seed)
    return 0.1 * torch.randn(batch, length)


def test_equal_waveforms_have_no_spectral_loss():
    x = speech()
    assert all(float(value) < 1e-6 for value in SpectralLoss()(x, x).values())


def test_the_spectral_loss_grows_with_the_difference():
    x, loss = speech(), SpectralLoss()
    near, far = (sum(loss(x + scale * speech(1), x).values()) for scale in (0.01, 0.3))
    assert 0 < near < far


def test_the_spectral_loss_does_not_mind_the_sign_of_a_waveform():
    x, loss = speech(), SpectralLoss()
    assert all(float(value) < 1e-5 for value in loss(-x, x).values())


def test_spectral_gradients_are_finite_in_silence():
    made = torch.zeros(1, 4096, requires_grad=True)
    sum(SpectralLoss()(made, torch.zeros(1, 4096)).values()).backward()
    assert torch.isfinite(made.grad).all()


@pytest.mark.parametrize("length", [1024, 5000, 8192])
def test_discriminators_take_any_length(length):
    judged = Discriminators()(speech(length=length))
    assert len(judged) == 7
    assert all(torch.isfinite(layer).all() for layers in judged for layer in layers)


def test_discriminators_are_small():
    assert sum(weight.numel() for weight in Discriminators().parameters()) < 1_000_000


def test_the_adversarial_losses_pull_apart():
    real, made = [[torch.zeros(2), torch.ones(2)]], [[torch.zeros(2), torch.zeros(2)]]
    assert float(discriminator_loss(real, made)) == 0.0
    assert float(discriminator_loss(made, real)) == 2.0
    assert float(adversarial_loss(made)) == 1.0
    assert float(adversarial_loss(real)) == 0.0


def test_feature_matching_is_relative():
    judges = Discriminators()
    real, made = judges(speech(0)), judges(speech(1))
    scaled = [[7.0 * layer for layer in layers] for layers in real]
    other = [[7.0 * layer for layer in layers] for layers in made]
    assert feature_loss(real, real).item() == 0.0
    assert torch.allclose(feature_loss(real, made), feature_loss(scaled, other), rtol=1e-4)
