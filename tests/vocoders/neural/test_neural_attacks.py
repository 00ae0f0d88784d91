"""Copies by the neural attacks."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from loradar.vocoders.attack import Source
from loradar.vocoders.neural import attacks
from loradar.vocoders.neural.attacks import NEURAL, copy_speech
from loradar.vocoders.neural.base import MelVocoder, NeuralVocoder, TrainingOutput
from loradar.vocoders.neural.level import LEVEL, gain_to_level


class Echo(NeuralVocoder):
    """Hands its input back and remembers it."""

    hop = 1

    def __init__(self):
        super().__init__()
        self.seen = []

    def training_output(self, waveform):
        return TrainingOutput(waveform)

    def resynthesise(self, waveform, settings, rng):
        self.seen.append(waveform.clone())
        return waveform


def tone(seconds, rate):
    return (0.3 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate)) / rate)).astype("f4")


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
def test_a_copy_returns_at_the_rate_and_level_of_its_source(rate):
    x, echo = tone(0.5, rate), Echo()
    copy = copy_speech(echo, x, rate, {}, np.random.default_rng(0))
    assert copy.shape == x.shape
    assert copy.dtype == np.float32
    inner = slice(rate // 20, -rate // 20)
    assert np.abs(copy - x)[inner].max() < 0.01
    assert np.isclose(np.std(copy), np.std(x), rtol=1e-4)
    assert np.isclose(float(echo.seen[0].square().mean().sqrt()), LEVEL, rtol=0.01)


def test_the_model_hears_it_slower_and_the_copy_runs_in_time():
    x, echo = tone(1.0, 16_000), Echo()
    copy = copy_speech(echo, x, 16_000, {"slower": 1.25}, np.random.default_rng(0))
    heard = echo.seen[0][0].numpy()
    assert len(heard) == 20_000
    assert np.argmax(np.abs(np.fft.rfft(heard))) == 440  # of 1.25 s: 352 Hz
    assert np.abs(copy - x)[800:-800].max() < 0.01


@settings(max_examples=30, deadline=None)
@given(length=st.integers(0, 40), rate=st.sampled_from([8_000, 16_000, 48_000]))
def test_no_clip_is_too_short(length, rate):
    copy = copy_speech(Echo(), np.ones(length, "f4"), rate, {}, np.random.default_rng(0))
    assert copy.shape == (length,)
    assert np.isfinite(copy).all()


def test_long_clips_go_through_in_pieces(monkeypatch):
    monkeypatch.setattr(attacks, "PIECE", 20_000)
    x, echo = tone(4.0, 16_000), Echo()
    copy = copy_speech(echo, x, 16_000, {}, np.random.default_rng(0))
    assert len(echo.seen) > 3
    assert np.abs(copy - x).max() < 1e-4


@given(st.floats(1e-5, 1.0), st.integers(1, 100))
def test_the_level_never_clips(loud, crest):
    clip = np.zeros(100)
    clip[:crest] = loud
    scaled = gain_to_level(clip) * clip
    assert np.abs(scaled).max() <= 0.99 + 1e-9
    assert np.sqrt(np.mean(scaled**2)) <= LEVEL + 1e-9


@pytest.mark.parametrize("name", NEURAL)
def test_settings_are_drawn_and_can_be_written(name):
    attack = NEURAL[name]
    rng = np.random.default_rng(0)
    draws = [attack.draw(rng) for _ in range(20)]
    assert json.loads(json.dumps(draws)) == draws
    assert any(one != draws[0] for one in draws)
    assert (attack.name, attack.kind, attack.aligned) == (name, "neural", True)


@pytest.mark.parametrize("name", NEURAL)
def test_shipped_models_copy(name):
    attack = NEURAL[name]
    if attack.missing():
        pytest.skip(attack.missing())
    x = tone(0.5, 16_000)
    settings = attack.draw(np.random.default_rng(1))
    first, again = (
        attack.render(Source(x, 16_000), settings, np.random.default_rng(2)) for _ in range(2)
    )
    assert first.shape == x.shape
    assert np.array_equal(first, again)
    assert np.isclose(np.std(first), np.std(x), rtol=1e-3)


def test_the_spectrogram_reaches_the_model_spoilt_as_asked():
    seen = []

    class Probe(MelVocoder):
        def generate(self, log_mel, length):
            seen.append(log_mel)
            return torch.zeros(1, length)

    from loradar.vocoders.neural.mel import LogMel

    probe = Probe(LogMel())
    x = torch.randn(1, 4096)
    probe.resynthesise(x, {"acoustic": {"quantise": 0.5}}, np.random.default_rng(0))
    steps = seen[0] / 0.5
    assert torch.allclose(steps, steps.round(), atol=1e-4)
