import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loradar.audio.joining import (
    SPLICES,
    faded,
    floor_noise,
    joined,
    levelled,
    loudest,
    quiet_place,
    splice,
)

RATE = 16_000


def _noise(seconds, seed=0, level=0.1):
    rng = np.random.default_rng(seed)
    return (level * rng.standard_normal(round(seconds * RATE))).astype(np.float32)


@given(st.floats(1e-4, 1.0), st.floats(1e-3, 0.3))
def test_levels_are_met_or_as_near_as_does_not_clip(level, wanted):
    made = levelled(_noise(0.1, level=level), wanted)
    assert np.abs(made).max() <= 0.991
    rms = np.sqrt(np.mean(made.astype(np.float64) ** 2))
    assert rms == pytest.approx(wanted, rel=1e-3) or np.abs(made).max() == pytest.approx(0.99)


def test_silence_stays_and_clips_meet_without_a_click():
    assert not levelled(np.zeros(10, np.float32)).any()
    steps = [np.full(1000, value, np.float32) for value in (0.5, -0.5)]
    made = joined(steps)
    assert len(made) == 2000 and np.abs(np.diff(made)).max() < 0.01
    assert faded(steps[0], start=False)[0] == 0.5
    assert len(joined([])) == 0 and steps[0][0] == 0.5


def test_the_loudest_stretch_is_where_the_sound_is():
    samples = np.concatenate([_noise(1, level=0.01), _noise(0.5, 1), _noise(1, 2, 0.01)])
    assert np.array_equal(loudest(samples, 0.5), samples[RATE : RATE + RATE // 2])
    assert len(loudest(samples, 9.0)) == len(samples)


@pytest.mark.parametrize("how", SPLICES)
def test_a_splice_is_where_it_says_and_leaves_the_rest(how):
    background, stretch = _noise(3.0), np.full(RATE, 0.7, np.float32)
    background[RATE : RATE + 1600] *= 0.001
    made, start, end = splice(background, stretch, RATE + 300, how, np.random.default_rng(0))
    middle = (start + end) // 2
    assert np.array_equal(made[middle - 4000 : middle + 4000], np.full(8000, 0.7, np.float32))
    assert abs((end - start) - len(stretch)) <= (800 if how == "crossfade" else 0)
    assert np.array_equal(made[: RATE - 800], background[: RATE - 800])
    assert np.array_equal(made[-RATE:], background[-RATE:])
    # It was cut where it is quiet, and a pause is as quiet as the quiet parts.
    assert RATE - 800 <= start - (8000 if how == "pause" else 0) <= RATE + 1600
    if how == "pause":
        assert np.abs(made[start - 7000 : start - 1000]).max() < 0.5
        assert len(made) == len(background) + len(stretch) + RATE


@given(st.integers(0, 48_000))
def test_a_quiet_place_is_near(at):
    place = quiet_place(_noise(3.0), at)
    assert abs(place - at) <= 8_000 and 0 <= place <= 48_000


def test_floor_noise_is_as_loud_as_the_quiet_parts():
    samples = np.concatenate([_noise(2, level=0.1), _noise(1, level=0.001)])
    made = floor_noise(samples, 16_000, np.random.default_rng(0))
    assert np.sqrt(np.mean(made**2)) == pytest.approx(0.001, rel=0.1)
