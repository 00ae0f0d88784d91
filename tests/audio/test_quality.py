import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import butter, sosfilt

from loradar.audio.frames import analyse, speech_frames
from loradar.audio.music import MUSIC, activation
from loradar.audio.noise import signal_to_noise
from loradar.audio.quality import CHUNK, QualityMeter, measure_quality

RATE = 16_000


def chords(seconds=4.0):
    """Held chords, each with eight harmonics."""
    time = np.arange(int(seconds * RATE)) / RATE
    samples = np.zeros(len(time))
    for beat in range(int(2 * seconds)):
        held = np.where((time >= beat / 2) & (time < beat / 2 + 0.8), 1.0, 0.0)
        for note in (220 * 2 ** (beat % 5 / 12), 277 * 2 ** (beat % 5 / 12)):
            tones = sum(np.sin(2 * np.pi * note * k * time) / k for k in range(1, 9))
            samples += held * np.exp(-2 * (time - beat / 2).clip(0)) * tones
    return (0.05 * samples).astype(np.float32)


def noise(seconds=4.0, seed=0):
    return 0.1 * np.random.default_rng(seed).standard_normal(int(seconds * RATE)).astype("f4")


def test_speech_is_found_and_noise_tones_and_silence_are_not(spoken):
    assert speech_frames(analyse(spoken(4.0))).mean() > 0.6
    time = np.arange(4 * RATE) / RATE
    for other in (noise(), np.zeros(4 * RATE), 0.2 * np.sin(2 * np.pi * 1_000 * time)):
        assert speech_frames(analyse(other.astype(np.float32))).mean() < 0.05


def test_speech_is_placed_in_time(spoken):
    quiet = np.zeros(3 * RATE, np.float32)
    quality = measure_quality(np.concatenate([quiet, spoken(3.0), quiet, quiet]))
    assert quality.speech_seconds(3, 6) > 1.8
    assert quality.speech_seconds(0, 2.8) == 0
    assert quality.speech_seconds(6.3) == 0
    assert quality.speech_seconds() == pytest.approx(quality.speech_seconds(2.5, 6.5))


def test_music_holds_its_tones_and_speech_does_not(spoken):
    assert activation(analyse(chords()).power) > MUSIC
    assert activation(analyse(spoken(4.0)).power) < MUSIC
    assert activation(analyse(noise()).power) < 1
    assert activation(analyse(chords(0.5)).power) == 0  # too little to tell


@pytest.mark.parametrize("decibels", [0.0, 6.0, 12.0, 20.0])
def test_the_ratio_of_speech_to_noise_is_recovered(decibels):
    rng = np.random.default_rng(0)
    clean = rng.gamma(0.4, 1, 200_000) * rng.choice([-1, 1], 200_000)
    clean /= np.sqrt(np.mean(clean**2))
    mixed = clean + 10 ** (-decibels / 20) * rng.standard_normal(len(clean))
    assert signal_to_noise((0.1 * mixed).astype("f4")) == pytest.approx(decibels, abs=1)
    assert signal_to_noise(np.zeros(20_000, np.float32)) is None


def test_the_band_above_the_telephones_shows(spoken):
    wide = spoken(4.0) + 0.003 * noise()
    narrow = sosfilt(butter(16, 3_400, fs=RATE, output="sos"), wide).astype("f4")
    assert measure_quality(wide).band_db > -45
    assert measure_quality(narrow).band_db < -60
    assert measure_quality(np.zeros(RATE, np.float32)).band_db is None


@settings(max_examples=12)
@given(st.lists(st.integers(1, 90_000), min_size=1, max_size=4))
def test_pieces_of_any_size_are_measured_alike(sizes):
    samples = noise(sum(sizes) / RATE)[: sum(sizes)]
    samples[: len(samples) // 3] = 0
    meter = QualityMeter()
    for part in np.split(samples, np.cumsum(sizes)[:-1]):
        meter.push(part)
    pieces, whole = meter.close(), measure_quality(samples)
    assert pieces.seconds == whole.seconds == pytest.approx(len(samples) / RATE)
    assert pieces.loudest_db == whole.loudest_db
    assert [c.music for c in pieces.chunks] == [c.music for c in whole.chunks]
    assert all(c.samples < 2 * CHUNK for c in whole.chunks)
    assert all(len(c.speech) == -(-c.samples // 256) for c in whole.chunks)


def test_nothing_is_measured_as_any_other_sound(spoken):
    samples = np.concatenate([spoken(9.0), np.zeros(3 * CHUNK, np.float32), spoken(5.0, 1)])
    found = measure_quality(samples)
    whisper = measure_quality(samples + np.float32(1e-30))
    assert [c.samples for c in found.chunks] == [c.samples for c in whisper.chunks]
    for one, two in zip(found.chunks, whisper.chunks, strict=True):
        assert np.array_equal(one.speech, two.speech)
        assert (one.music, one.snr_db) == pytest.approx((two.music, two.snr_db))
