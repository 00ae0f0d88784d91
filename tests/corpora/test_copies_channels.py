"""Channels do to copies what they do to sources, in place and without changing the length."""

import numpy as np
import pytest
from scipy import signal

from loradar.audio.augmentation import CODECS
from loradar.audio.augmentation.effects import Samples, rms
from loradar.corpora.copies.channels import CHANNELS, choose_channels
from loradar.corpora.copies.render import _finish
from loradar.corpora.voice import draw_speaker, speak
from loradar.errors import ConfigError

RATE = 16_000


def _speech(seed: int) -> Samples:
    rng = np.random.default_rng(seed)
    samples = speak(draw_speaker(rng), 1.5, rng)
    return (0.3 * samples / np.abs(samples).max()).astype(np.float32)


def _lag_ms(early: Samples, late: Samples) -> float:
    """Milliseconds by which the energy of ``late`` comes after that of ``early``."""
    smooth = signal.butter(2, 40, fs=RATE, output="sos")
    a, b = (signal.sosfiltfilt(smooth, np.abs(x)) for x in (early, late))
    match = signal.correlate(b - b.mean(), a - a.mean(), method="fft")
    return float(1000 * (np.argmax(match) - (len(a) - 1)) / RATE)


@pytest.mark.parametrize("name", CHANNELS)
def test_a_channel_treats_source_and_copies_alike(name: str) -> None:
    if name in CODECS and (reason := CODECS[name].missing()):
        pytest.skip(reason)
    source, other = _speech(0), _speech(1)
    made = {"": source, "same": source.copy(), "other": other}
    for draw in range(3):
        heard = _finish(made, name, (draw,))
        # The same draw: a copy that were its source would stay its source.
        assert np.allclose(heard["same"], heard[""], atol=1e-6)
        assert all(len(x) == len(source) and np.isfinite(x).all() for x in heard.values())
        assert rms(heard["other"]) == pytest.approx(rms(heard[""]), rel=1e-4)
        assert abs(_lag_ms(source, heard[""])) <= 10
        assert abs(_lag_ms(other, heard["other"])) <= 10


def test_the_choice_of_channels() -> None:
    assert choose_channels(["none"]) == ([""], [])
    assert choose_channels(["mp3", "none", "mp3"]) == (["mp3", ""], [])
    everything, absent = choose_channels(["all"])
    codecs, absent_codecs = choose_channels(["codec"])
    assert set(codecs) <= set(everything) and absent == absent_codecs
    assert len(everything) + len(absent) == len(CHANNELS)
    assert set(CODECS) == {*codecs, *(line.split()[1].rstrip(":") for line in absent)}
    for name in ("rawboost", "speed"):
        with pytest.raises(ConfigError, match=f"no channel '{name}'; there are noise, "):
            choose_channels([name])
