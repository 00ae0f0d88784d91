"""The measures on cases whose answer is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from loradar.errors import InputError
from loradar.evaluation.copies import spectral, world
from loradar.evaluation.copies.cepstrum import mel_cepstral_distortion, mel_cepstrum, warping
from loradar.evaluation.copies.frames import speech_frames, speech_seconds
from loradar.evaluation.copies.pair import MEASURES, Original
from loradar.evaluation.copies.pitch import f0_correlation, voicing_agreement

RATE = 16_000
needs_world = pytest.mark.skipif(world.missing() is not None, reason="pyworld is not installed")


def noise(seconds=1.0, seed=0):
    samples = np.random.default_rng(seed).standard_normal(round(seconds * RATE))
    return (0.1 * samples).astype(np.float32)


def voice(f0=120.0, seconds=1.5, shake=10.0):
    """A buzz with two resonances whose pitch moves."""
    time = np.arange(round(seconds * RATE)) / RATE
    phase = np.cumsum(f0 + shake * np.sin(2 * np.pi * 1.5 * time)) / RATE
    pulses = (np.diff(np.floor(phase), prepend=0) > 0).astype(float)
    for hertz, width in ((600, 80), (1700, 120)):
        radius = np.exp(-np.pi * width / RATE)
        pulses = signal.lfilter(
            [1.0], [1, -2 * radius * np.cos(2 * np.pi * hertz / RATE), radius**2], pulses
        )
    samples = pulses + 1e-3 * np.random.default_rng(1).standard_normal(len(pulses))
    return (0.3 * samples / np.abs(samples).max()).astype(np.float32)


def test_speech_frames_are_the_loud_ones():
    clip = np.concatenate((1e-3 * noise(1.0), noise(1.0), np.zeros(RATE)))
    mask = speech_frames(clip, RATE, 0.01)
    assert len(mask) == 301
    assert mask[102:199].all()
    assert not mask[:98].any() and not mask[203:].any()
    assert speech_seconds(clip, RATE) == pytest.approx(1.0, abs=0.05)


def test_silence_has_no_speech_frames():
    assert not speech_frames(np.zeros(RATE), RATE, 0.005).any()
    with pytest.raises(InputError, match="no sound"):
        Original(np.zeros(RATE, np.float32), RATE)


@pytest.mark.parametrize("gain", [0.5, 2.0])
def test_a_gain_is_a_distance_of_its_decibels(gain):
    clip = noise()
    every = np.ones(101, bool)
    for spectrum, distance in (
        (spectral.log_mel_spectrum, spectral.log_mel_distance),
        (spectral.log_spectrum, spectral.log_spectral_distance),
    ):
        found = distance(spectrum(clip, RATE), spectrum(gain * clip, RATE), every)
        assert found == pytest.approx(20 * np.log10(2), abs=1e-3)


def test_distances_by_hand():
    source = np.zeros((3, 2))
    copy = np.array([[3.0, 4.0], [0.0, 0.0], [9.0, 9.0]])
    mask = np.array([True, True, False])
    lsd = (np.sqrt((9 + 16) / 2) + 0) / 2
    assert spectral.log_spectral_distance(source, copy, mask) == pytest.approx(lsd)
    assert spectral.log_mel_distance(source, copy, mask) == pytest.approx(np.sqrt(25 / 4))


def test_what_lies_far_below_the_peak_does_not_count():
    source = np.array([[0.0, -90.0]])
    copy = np.array([[0.0, -200.0]])
    assert spectral.log_spectral_distance(source, copy, np.array([True])) == 0.0


def test_resampling_is_close_and_not_equal():
    clip = noise()
    back = spectral.resampled(clip)
    assert back.shape == clip.shape
    assert back.dtype == np.float32
    assert not np.array_equal(back, clip)
    every = np.ones(101, bool)
    found = spectral.log_spectral_distance(
        spectral.log_spectrum(clip, RATE), spectral.log_spectrum(back, RATE), every
    )
    assert 0 < found < 0.5


def test_warping_by_nothing_cuts():
    assert np.array_equal(warping(40, 24, 0.0), np.eye(40, 25))


def test_warping_of_one_delay_is_its_series():
    # z^-1 in terms of the bent delay: a + (1 - a^2) sum_k (-a)^(k-1) z~^-k.
    a = 0.42
    wanted = [a, *((1 - a**2) * (-a) ** (k - 1) for k in range(1, 25))]
    assert warping(30, 24, a)[1] == pytest.approx(wanted)


@settings(max_examples=25, deadline=None)
@given(alpha=st.floats(-0.6, 0.6), seed=st.integers(0, 100))
def test_a_bent_cepstrum_gives_the_same_spectrum(alpha, seed):
    cepstrum = np.random.default_rng(seed).standard_normal(12) / (1 + np.arange(12))
    bent = cepstrum @ warping(12, 200, alpha)
    omega = np.linspace(0.1, 3.0, 7)
    tilde = omega + 2 * np.arctan2(alpha * np.sin(omega), 1 - alpha * np.cos(omega))
    plain = np.cos(np.outer(omega, np.arange(12))) @ cepstrum
    assert np.cos(np.outer(tilde, np.arange(201))) @ bent == pytest.approx(plain, abs=1e-6)


def test_mel_cepstrum_of_a_known_spectrum():
    omega = np.linspace(0, np.pi, 257)
    power = np.exp(2 * (0.7 + 0.5 * np.cos(omega) - 0.25 * np.cos(3 * omega)))[None]
    found = mel_cepstrum(power, order=5, alpha=0.0)
    assert found[0] == pytest.approx([0.7, 0.5, 0.0, -0.25, 0.0, 0.0], abs=1e-12)


def test_distortion_is_the_rms_decibels_of_a_ripple():
    # A ripple of 3 dB amplitude differs by 3 / sqrt(2) dB in the RMS over frequency.
    omega = np.linspace(0, np.pi, 513)
    flat = np.ones((1, 513))
    ripple = 10 ** (3 * np.cos(4 * omega) / 10)[None]
    found = mel_cepstral_distortion(
        mel_cepstrum(flat, alpha=0.0), mel_cepstrum(ripple, alpha=0.0), np.array([True])
    )
    assert found == pytest.approx(3 / np.sqrt(2))


def test_distortion_ignores_level_and_silent_frames():
    source = np.zeros((2, 25))
    copy = source.copy()
    copy[:, 0] = 3.0
    copy[1, 5] = 9.0
    assert mel_cepstral_distortion(source, copy, np.array([True, False])) == 0.0


def test_pitch_by_hand():
    source = np.array([0.0, *np.linspace(100, 200, 30), 0.0])
    every = np.ones(32, bool)
    assert f0_correlation(source, 1.5 * source) == pytest.approx(1.0)
    assert f0_correlation(source, np.where(source > 0, 400 - source, 0)) == pytest.approx(-1.0)
    assert f0_correlation(source, np.where(source > 0, 120.0, 0)) is None
    assert f0_correlation(source[:15], source[:15]) is None
    copy = source.copy()
    copy[:4] = (80.0, 0.0, 0.0, 130.0)
    assert voicing_agreement(source, copy, every) == pytest.approx(29 / 32)


def test_a_copy_of_itself_is_at_no_distance():
    clip = voice()
    found = Original(clip, RATE).compare(clip)
    assert set(found) == set(MEASURES)
    assert found["log_mel_db"] == found["log_spectral_db"] == 0.0
    if world.missing() is None:
        assert found["mel_cepstral_db"] == 0.0
        assert found["voicing_agreement"] == 1.0
        assert found["f0_correlation"] == pytest.approx(1.0)


@needs_world
def test_world_follows_pitch_and_envelope():
    clip = voice()
    original = Original(clip, RATE)
    higher = original.compare(voice(150.0))
    # The same mouth with another pitch is nearer than noise is.
    other = original.compare(noise(1.5))
    assert higher["f0_correlation"] > 0.9
    assert higher["mel_cepstral_db"] < 3.0 < other["mel_cepstral_db"]
    assert other["voicing_agreement"] < 0.5 < higher["voicing_agreement"]


def test_without_pyworld_its_measures_are_none(monkeypatch):
    monkeypatch.setattr(world, "_pyworld", lambda: exec("raise ImportError('no pyworld')"))
    assert "loradar[copies]" in world.missing()
    found = Original(voice(), RATE).compare(noise(1.5))
    assert found["mel_cepstral_db"] is found["f0_correlation"] is found["voicing_agreement"] is None
    assert found["log_spectral_db"] > 3


def test_copies_that_do_not_fit_are_refused():
    original = Original(voice(), RATE)
    with pytest.raises(InputError, match="10 samples, its source 24000"):
        original.compare(np.zeros(10, np.float32))
    broken = voice()
    broken[5] = np.nan
    with pytest.raises(InputError, match="not finite"):
        original.compare(broken)
