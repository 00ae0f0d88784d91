import numpy as np
import pytest
from scipy import signal

from loradar.errors import ConfigError
from loradar.evaluation.conditions import CONDITIONS, choose_conditions, under

RATE = 16_000


def _clip():
    """Noise between 300 and 3,000 Hz, and a hum at 50 Hz."""
    rng = np.random.default_rng(0)
    band = signal.firwin(501, (300.0, 3_000.0), pass_zero=False, fs=RATE)
    noise = signal.oaconvolve(rng.standard_normal(2 * RATE), band, "same")
    hum = np.sin(2 * np.pi * 50 * np.arange(2 * RATE) / RATE)
    return (0.1 * noise / noise.std() + 0.05 * hum).astype(np.float32)


def _snr(clean, changed):
    return 10 * np.log10(np.mean(clean**2) / np.mean((changed - clean) ** 2))


@pytest.mark.parametrize("name", CONDITIONS)
def test_each_keeps_length_and_place_and_can_be_repeated(name):
    clip = _clip()
    changed = under(name, clip, RATE, "folder/a.flac")
    assert changed.shape == clip.shape
    assert changed.dtype == np.float32
    assert np.isfinite(changed).all()
    assert np.array_equal(changed, under(name, clip, RATE, "elsewhere/a.flac"))
    assert np.array_equal(changed, clip) == (name == "clean")
    assert np.corrcoef(clip, changed)[0, 1] > 0.5


def test_noise_and_gain_are_drawn_from_the_name():
    clip = _clip()
    for name in ("noise_20_db", "noise_10_db", "gain"):
        one, two = (under(name, clip, RATE, path) for path in ("a.flac", "b.flac"))
        assert not np.array_equal(one, two)
    assert _snr(clip, under("noise_20_db", clip, RATE, "a")) == pytest.approx(20, abs=0.5)
    assert _snr(clip, under("noise_10_db", clip, RATE, "a")) == pytest.approx(10, abs=0.5)


def test_the_high_pass_takes_the_hum_alone():
    clip = _clip()
    spectrum = np.abs(np.fft.rfft(clip))
    filtered = np.abs(np.fft.rfft(under("highpass_80_hz", clip, RATE, "a")))
    hum, speech = slice(2 * 45, 2 * 55), slice(2 * 150, None)
    assert filtered[hum].max() < 0.02 * spectrum[hum].max()
    assert np.abs(filtered - spectrum)[speech].max() < 0.02 * spectrum[speech].max()


def test_the_telephone_ends_at_its_band():
    spectrum = np.abs(np.fft.rfft(under("telephone", _clip(), RATE, "a")))
    assert spectrum[2 * 4_200 :].max() < 0.02 * spectrum.max()


def test_choosing():
    assert choose_conditions(["all"]) == list(CONDITIONS)
    assert choose_conditions(["telephone"]) == ["clean", "telephone"]
    with pytest.raises(ConfigError, match="no condition is called 'rain'"):
        choose_conditions(["rain"])
