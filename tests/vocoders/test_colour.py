"""Copies take on the long-term spectrum of their source."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import signal

from loradar.evaluation.suites.baselines import average_spectrum
from loradar.vocoders.colour import source_colour


def noise(seed, samples=32_000):
    return np.random.default_rng(seed).standard_normal(samples)


def coloured(x, seed):
    """Through a smooth filter of a few resonances."""
    gains = np.random.default_rng(seed).uniform(0.2, 3.0, 8)
    taps = signal.firwin2(129, np.linspace(0, 1, 8), gains)
    return signal.lfilter(taps, 1.0, x)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
@example(seed=3441)  # in 2 s of noise its grain alone is 0.61
def test_the_spectrum_becomes_the_sources(seed):
    # Long enough that the grain is fine: at most 0.50 in 1,430 seeds.
    source, copy = (coloured(noise(k, 128_000), seed + k) for k in (0, 1))
    apart = average_spectrum(copy) - average_spectrum(source)
    left = average_spectrum(source_colour(copy, source, 16_000)) - average_spectrum(source)
    # The fine grain of two noises stays; their colour goes.
    assert left.std() < 0.6
    assert left.std() < 0.5 * apart.std()


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
def test_a_clip_of_the_same_colour_stays_and_nothing_moves_in_time(rate):
    source = coloured(noise(2), 5)
    assert np.abs(source_colour(source, source, rate) - source).max() < 1e-6
    other = source_colour(0.01 * source, source, rate)
    assert np.allclose(other, 0.01 * source, atol=1e-8)


def test_clips_that_hold_no_spectrum_come_back_as_they_are():
    short, long = noise(3, 300), noise(4)
    assert np.array_equal(source_colour(short, short * 2, 16_000), short)
    silent = np.zeros(32_000)
    assert np.array_equal(source_colour(long, silent, 16_000), long)
    assert np.array_equal(source_colour(silent, long, 16_000), silent)


def test_a_missing_band_is_not_blown_up():
    source = noise(5)
    sos = signal.butter(10, 3_000, fs=16_000, output="sos")
    copy = signal.sosfilt(sos, noise(6))
    lifted = source_colour(copy, source, 16_000)
    for made in (copy, lifted):
        assert np.isfinite(made).all()
    frequency, before = signal.welch(copy, 16_000)
    after = signal.welch(lifted, 16_000)[1]
    high = frequency > 6_000
    assert (after[high].sum() / after.sum()) < 100.5 * (before[high].sum() / before.sum())
