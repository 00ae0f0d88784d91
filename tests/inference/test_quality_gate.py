import numpy as np
import pytest
from scipy.signal import butter, sosfilt

from loradar.audio.decoders import AudioInfo
from loradar.inference.quality import gate_samples


def _noise(count, level=0.1):
    return (level * np.random.default_rng(0).standard_normal(count)).astype(np.float32)


def _info(rate=16_000, codec="PCM_16", bit_rate=256_000.0):
    return AudioInfo("a", 4.0, rate, 1, "WAV", codec, bit_rate)


def test_speech_passes(spoken):
    found = gate_samples(spoken(4.0), _info())
    assert found.reasons == ()
    assert found.effect is None


def test_what_is_no_speech_gets_no_verdict(spoken):
    time = np.arange(64_000) / 16_000
    chord = sum(np.sin(2 * np.pi * f * time) for f in (220, 440, 554, 659, 1_108, 1_318, 1_976))
    for samples, reasons in (
        (spoken(0.4), {"too_short"}),
        (np.zeros(16_000, np.float32), {"silence"}),
        (np.full(16_000, 0.3, np.float32), {"silence"}),  # DC alone
        (1e-4 * _noise(16_000), {"silence"}),
        (np.zeros(0, np.float32), {"too_short", "silence"}),
        (_noise(64_000), {"no_speech", "too_noisy"}),
        ((0.05 * chord).astype(np.float32), {"no_speech", "music", "too_noisy"}),
    ):
        found = gate_samples(samples)
        assert found.effect == "NOT_APPLICABLE"
        assert reasons >= set(found.reasons) >= reasons - {"too_noisy"}


def test_what_cannot_be_trusted_is_uncertain(spoken):
    clean = spoken(4.0)
    level = float(np.sqrt(np.mean(clean**2)))
    noisy = gate_samples(clean + _noise(len(clean), 1.2 * level))
    assert "too_noisy" in noisy.reasons
    assert noisy.effect is not None
    loud = np.clip(clean, *np.quantile(clean, [0.1, 0.9])).astype(np.float32)
    assert gate_samples(loud).reasons[0] == "clipped"
    assert gate_samples(loud).effect == "UNCERTAIN"


@pytest.mark.parametrize(
    ("codec", "bit_rate", "heavy"),
    [
        ("MPEG_LAYER_III", 16_000.0, True),
        ("MPEG_LAYER_III", 64_000.0, False),
        ("OPUS", 9_000.0, True),
        ("amrnb", 12_200.0, True),
        ("PCM_16", 16_000.0, False),
        ("aac", None, False),
    ],
)
def test_low_bit_rates_are_told_by_the_header(spoken, codec, bit_rate, heavy):
    found = gate_samples(spoken(2.0), _info(codec=codec, bit_rate=bit_rate))
    assert found.reasons == (("heavily_compressed",) if heavy else ())
    assert found.effect == ("UNCERTAIN" if heavy else None)


def test_telephone_band_is_a_caution_by_spectrum_or_by_rate(spoken):
    phone = sosfilt(butter(16, 3_400, fs=16_000, output="sos"), spoken(4.0)).astype("f4")
    assert gate_samples(phone).reasons == ("narrow_band",)
    assert gate_samples(phone).effect is None
    assert gate_samples(spoken(4.0), _info(8_000)).reasons == ("narrow_band",)
