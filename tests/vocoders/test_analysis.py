import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from loradar.vocoders.analysis import (
    cepstral_envelope,
    frames_of,
    istft,
    linear_prediction,
    overlap_add,
    pulse_train,
    reshape_pitch,
    stft,
    track_pitch,
)
from loradar.vocoders.griffin_lim import mel_bank
from loradar.vocoders.lpc import from_reflections, reflections
from loradar.vocoders.phase import nearest_peak


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 900), st.sampled_from([(64, 16), (128, 32)]))
def test_the_inverse_spectrum_is_exact(length: int, sizes: tuple[int, int]) -> None:
    x = np.random.default_rng(length).standard_normal(length)
    assert np.allclose(istft(stft(x, *sizes), *sizes, length), x, atol=1e-9)


def test_frames_are_centred_and_add_up() -> None:
    frames = frames_of(np.arange(1.0, 11.0), 4, 2)
    assert frames[0].tolist() == [0, 0, 1, 2] and frames[1].tolist() == [1, 2, 3, 4]
    assert np.allclose(overlap_add(frames, 2, 10), 2 * np.arange(1, 11))
    assert np.allclose(overlap_add(frames, 2, 8, origin=4), 2 * np.arange(3, 11))


def test_linear_prediction_finds_the_filter() -> None:
    true = np.poly([0.9 * np.exp(0.5j), 0.9 * np.exp(-0.5j), -0.5]).real
    x = signal.lfilter([0.3], true, np.random.default_rng(0).standard_normal(40_000))
    polynomial, gain = linear_prediction(x[None], 3)
    assert polynomial[0] == pytest.approx(true, abs=0.05)
    assert gain[0] == pytest.approx(0.3, rel=0.05)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 20))
def test_linear_prediction_is_stable(seed: int, order: int) -> None:
    rng = np.random.default_rng(seed)
    frames = rng.standard_normal((3, 200)) * rng.choice([0.0, 1e-6, 1.0, 50.0], (3, 1))
    polynomial, _ = linear_prediction(frames, order)
    for taps in polynomial:
        assert np.abs(np.roots(taps)).max(initial=0.0) < 1.0


@pytest.mark.parametrize("f0", [80.0, 130.0, 240.0])
def test_pitch(f0: float) -> None:
    time = np.arange(16_000) / 16_000
    voice = sum(np.cos(2 * np.pi * k * f0 * time) / k for k in range(1, 12))
    x = np.where(time < 0.5, voice, 0.01 * np.random.default_rng(0).standard_normal(16_000))
    track = track_pitch(x, 16_000, 160)
    assert track[5:45] == pytest.approx(np.full(40, f0), rel=0.02)
    assert (track[60:95] == 0).mean() > 0.9


def test_pulse_train_has_the_rate_and_unit_power() -> None:
    train = pulse_train(np.full(16_000, 100.0), 16_000)
    assert np.count_nonzero(train) == pytest.approx(100, abs=1)
    assert np.mean(train**2) == pytest.approx(1.0, abs=0.02)


def test_cepstral_envelope_keeps_slow_and_drops_fast_waves() -> None:
    bins = np.linspace(0, np.pi, 129)
    log_magnitude = 2.0 + np.cos(3 * bins) + np.cos(40 * bins)
    envelope = cepstral_envelope(log_magnitude[None], 20)[0]
    assert envelope == pytest.approx(2.0 + np.cos(3 * bins), abs=1e-9)


@pytest.mark.parametrize("bands", [20, 80, 128])
def test_every_mel_band_takes_something_and_weighs_one(bands: int) -> None:
    bank = mel_bank(bands, 512, 16_000)
    assert bank.shape == (bands, 257)
    assert bank.sum(axis=1) == pytest.approx(np.ones(bands))
    assert (np.diff(bank.argmax(axis=1)) >= 0).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 9999), st.integers(1, 24))
def test_reflections_and_back(seed: int, order: int) -> None:
    k = np.random.default_rng(seed).uniform(-0.95, 0.95, (4, order))
    polynomial = from_reflections(k)
    assert np.allclose(polynomial[:, -1], k[:, -1])
    assert np.abs(np.roots(polynomial[0])).max(initial=0.0) < 1.0
    assert np.allclose(from_reflections(reflections(polynomial)), polynomial, rtol=1e-6, atol=1e-6)


def test_a_melody_is_flattened_and_smoothed_where_voiced() -> None:
    f0 = np.where(np.arange(60) % 20 < 15, 100.0 * 2 ** (np.sin(np.arange(60)) / 2), 0.0)
    flat = reshape_pitch(f0, expression=0.0)
    assert ((flat > 0) == (f0 > 0)).all() and np.ptp(flat[flat > 0]) < 1e-9
    half = reshape_pitch(f0, expression=0.5)
    voiced = f0 > 0
    assert np.std(np.log(half[voiced])) == pytest.approx(np.std(np.log(f0[voiced])) / 2)
    smooth = reshape_pitch(f0, smooth=5.0)
    assert np.std(smooth[voiced]) < 0.3 * np.std(f0[voiced])
    assert not reshape_pitch(np.zeros(9), smooth=1.0, expression=0.0).any()


def test_nearest_peak() -> None:
    rows = np.array([[0, 3, 1, 0, 1, 5, 0], [9, 1, 0, 0, 0, 1, 2.0], [1, 1, 1, 1, 1, 1, 1]])
    assert nearest_peak(rows).tolist() == [
        [1, 1, 1, 1, 5, 5, 5],
        [0, 0, 0, 0, 6, 6, 6],
        [6, 6, 6, 6, 6, 6, 6],
    ]
