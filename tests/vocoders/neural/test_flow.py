"""The flow-matching vocoder."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from loradar.vocoders.neural.flow import FlowConfig, FlowVocoder
from loradar.vocoders.neural.mel import mel_filters

SMALL = FlowConfig(bands=40, n_fft=512, hop=128, width=16, hidden=32, blocks=2)


def built(config=SMALL):
    torch.manual_seed(0)
    return FlowVocoder(config).eval()


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("length", [1, 127, 128, 3000])
def test_a_copy_has_the_length_of_its_source(length, steps):
    x = torch.randn(1, length) * 0.05
    copy = built().resynthesise(x, {"steps": steps}, np.random.default_rng(0))
    assert copy.shape == x.shape
    assert torch.isfinite(copy).all()


def test_digital_silence_stays_quiet():
    copy = built().resynthesise(torch.zeros(1, 4000), {}, np.random.default_rng(0))
    assert torch.isfinite(copy).all()
    assert copy.abs().max() < 1e-3


def test_a_copy_depends_on_its_generator_steps_and_acoustic_settings_alone():
    model = built()
    x = torch.randn(1, 4000) * 0.05

    def copy(seed, **settings):
        return model.resynthesise(x, settings, np.random.default_rng(seed))

    torch.manual_seed(1)
    first = copy(0, steps=2)
    torch.manual_seed(2)
    assert torch.equal(first, copy(0, steps=2))
    assert not torch.allclose(first, copy(1, steps=2), atol=1e-4)
    assert not torch.allclose(first, copy(0, steps=4), atol=1e-4)
    assert not torch.allclose(first, copy(0, steps=2, acoustic={"quantise": 1.0}), atol=1e-4)


def test_training_reaches_every_weight_and_lowers_the_loss():
    model = built().train()
    x = torch.sin(torch.arange(2560) * 0.2)[None].repeat(4, 1) * 0.08
    output = model.training_output(x)
    assert output.waveform.shape == x.shape
    assert set(output.losses) == {"flow"}
    (output.waveform.square().sum() + output.losses["flow"]).backward()
    for name, weight in model.named_parameters():
        assert weight.grad is not None, name
        assert torch.isfinite(weight.grad).all(), name
        assert weight.grad.abs().sum() > 0, name
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(60):
        loss = model.training_output(x).losses["flow"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:5])


def test_a_network_that_knows_the_speech_gets_it_back(monkeypatch):
    # The path's algebra: the right estimate at every time leads from noise to the very speech.
    model = built()
    x = torch.randn(1, 3000) * 0.05
    log_mel = model.mel(x)
    speech = model._spectrum(x) / model._envelope(log_mel)

    def oracle(state, time, log_mel):
        return speech

    monkeypatch.setattr(model, "_estimate", oracle)
    assert torch.allclose(model.generate(log_mel, 3000), x, atol=1e-4)


def test_states_keep_the_variance_that_training_shows(monkeypatch):
    # Even when each estimate hangs on the noise it was made from: the worst is the noise itself.
    model = built()
    seen = []

    def echo(state, time, log_mel):
        seen.append((time.item(), state.real.square().mean().item()))
        return state / state.abs().square().mean().sqrt() * 2**0.5

    monkeypatch.setattr(model, "_estimate", echo)
    model.generate(model.mel(torch.randn(1, 20_000) * 0.05), 20_000)
    for time, variance in seen:
        assert variance == pytest.approx(time**2 + (1 - time) ** 2, rel=0.15)


def test_speech_and_noise_begin_at_unit_variance():
    model = built(FlowConfig(width=16, hidden=16, blocks=1))
    x = torch.randn(2, 32_000) * 0.05
    # White noise is speech whose envelope is known.
    for spectrum in (model._spectrum(x) / model._envelope(model.mel(x)), model._white(20 * x)):
        inner = spectrum[:, 4:-4, 2:-2]
        assert inner.real.square().mean().item() == pytest.approx(1.0, abs=0.1)
        assert inner.imag.square().mean().item() == pytest.approx(1.0, abs=0.1)


def test_every_bin_has_an_envelope():
    model = built(FlowConfig(width=16, hidden=16, blocks=1))
    flat = (mel_filters(80, 1024, 0, 8000, 16_000).sum(1) * 0.3).log()[None, :, None]
    envelope = model._envelope(flat)
    assert torch.allclose(envelope, envelope.mean().expand_as(envelope), rtol=1e-4)


@pytest.mark.parametrize(
    ("values", "message"),
    [({"hop": 512}, "4 times"), ({"kernel": 4}, "odd"), ({"colour": 1}, "Extra")],
)
def test_configurations_that_cannot_be_are_refused(values, message):
    with pytest.raises(ValidationError, match=message):
        FlowConfig(**values)


def test_the_shipped_size():
    count = sum(weight.numel() for weight in FlowVocoder(FlowConfig()).parameters())
    assert 0.5e6 <= count <= 2.4e6
