import numpy as np
import pytest
from scipy.signal import lfilter

from loradar.audio.frames import analyse
from loradar.audio.quality import QualityMeter, measure_quality
from loradar.audio.timbre import BANDS, DEEPEST, moments, timbre, together


def _voice(seconds, seed=0, tilt=0.9):
    """Bursts of coloured noise with quiet in between."""
    rng = np.random.default_rng(seed)
    noise = lfilter([1], [1, -tilt], rng.standard_normal(round(16_000 * seconds)))
    beat = np.sin(2 * np.pi * 1.3 * np.arange(len(noise)) / 16_000) > -0.3
    return (0.05 * noise * (beat + 0.01)).astype(np.float32)


def test_the_level_does_not_matter():
    samples = _voice(8)
    soft, loud = (measure_quality(gain * samples) for gain in (0.2, 1.0))
    np.testing.assert_allclose(soft.timbre_between(1, 4), loud.timbre_between(1, 4), atol=0.1)


def test_the_same_whether_it_comes_whole_or_in_pieces():
    samples = _voice(30)
    meter = QualityMeter()
    for start in range(0, len(samples), 7_001):
        meter.push(samples[start : start + 7_001])
    whole, pieces = measure_quality(samples), meter.close()
    for start in (0.0, 11.2, 27.0):
        np.testing.assert_array_equal(
            whole.timbre_between(start, start + 2.8), pieces.timbre_between(start, start + 2.8)
        )


def test_another_colour_of_voice_is_told_and_the_same_one_is_not():
    quality = measure_quality(np.concatenate([_voice(12, 0), _voice(12, 1, tilt=0.5)]))
    early, later, other = (quality.timbre_between(t, t + 2.8) for t in (2, 7, 16))
    assert np.abs(early - later)[:BANDS].mean() < 1
    assert np.abs(early - other)[:BANDS].mean() > 3


def test_a_room_is_told_by_what_is_between_the_words():
    hiss = 0.002 * np.random.default_rng(3).standard_normal(16_000 * 12).astype(np.float32)
    quality = measure_quality(np.concatenate([_voice(12), _voice(12, 1) + hiss]))
    dry, noisy = (quality.timbre_between(t, t + 2.8)[BANDS:] for t in (4, 16))
    assert (noisy - dry).mean() > 3


@pytest.mark.parametrize("samples", [np.zeros(40_000), np.zeros(5), _voice(0.3)])
def test_silence_and_little_are_described_too(samples):
    found = measure_quality(samples.astype(np.float32)).timbre_between(0.0, 2.8)
    assert found.shape == (2 * BANDS,)
    assert np.isfinite(found).all()
    assert (found[BANDS:] >= -DEEPEST - 1e-3).all()


def test_times_beyond_the_end_give_the_last_moment():
    found = together([moments(analyse(_voice(4)), 250)])
    assert len(found.count) == 8
    np.testing.assert_array_equal(timbre(found, 90.0, 95.0), timbre(found, 3.6, 4.1))
