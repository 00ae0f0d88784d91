import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loradar.corpora.voice import SAMPLE_RATE, draw_speaker, speak
from loradar.vocoders.analysis import track_pitch


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.05, 1.5))
def test_length_level_and_determinism(seed: int, seconds: float) -> None:
    speaker = draw_speaker(np.random.default_rng(seed))
    first, second = (speak(speaker, seconds, np.random.default_rng(seed)) for _ in range(2))
    assert first.dtype == np.float32 and len(first) == round(seconds * SAMPLE_RATE)
    assert np.isfinite(first).all() and np.array_equal(first, second)
    assert np.abs(first).max() < 3.0


@pytest.mark.parametrize("seed", range(4))
def test_it_is_voiced_at_the_speakers_pitch_and_pauses(seed: int) -> None:
    rng = np.random.default_rng(seed)
    speaker = draw_speaker(rng)
    x = speak(speaker, 3.0, rng)
    assert np.sqrt(np.mean(x**2)) == pytest.approx(0.05, rel=0.05)
    f0 = track_pitch(x, SAMPLE_RATE, 160)
    assert 0.3 < np.mean(f0 > 0) < 0.99
    assert np.median(f0[f0 > 0]) == pytest.approx(speaker.f0, rel=0.2)
    assert np.std(np.log(f0[f0 > 0])) > 0.02  # melody
    power = np.square(x[: len(x) // 400 * 400].reshape(-1, 400)).mean(axis=1)
    assert power.min() < 1e-3 * power.max()


def test_the_spectrum_falls_as_that_of_speech_does() -> None:
    rng = np.random.default_rng(3)
    x = np.concatenate([speak(draw_speaker(rng), 2.0, rng) for _ in range(4)])
    power = np.abs(np.fft.rfft(x)) ** 2
    hertz = np.fft.rfftfreq(len(x), 1 / SAMPLE_RATE)

    def band(low: float, high: float) -> float:
        return float(10 * np.log10(power[(hertz >= low) & (hertz < high)].mean()))

    assert 8 < band(200, 1000) - band(1500, 3000) < 35
    assert 15 < band(200, 1000) - band(4000, 7000) < 50
    assert band(200, 1000) - band(5, 40) > 20


def test_a_shorter_tract_has_higher_resonances() -> None:
    from dataclasses import replace

    speaker = draw_speaker(np.random.default_rng(0))

    def centroid(tract: float) -> float:
        x = speak(replace(speaker, tract=tract), 3.0, np.random.default_rng(1))
        power = np.abs(np.fft.rfft(x)) ** 2
        hertz = np.fft.rfftfreq(len(x), 1 / SAMPLE_RATE)
        inside = (hertz > 1000) & (hertz < 4000)
        return float((power * hertz)[inside].sum() / power[inside].sum())

    assert centroid(0.85) > 1.05 * centroid(1.1)
