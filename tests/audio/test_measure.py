import numpy as np
import pytest
import soundfile as sf
from hypothesis import given, settings
from hypothesis import strategies as st

from loradar.audio.measure import BANDS, digest, measure


def _tone(rate=16_000, seconds=1.0, pitch=440.0):
    return 0.5 * np.sin(2 * np.pi * pitch * np.arange(round(rate * seconds)) / rate)


def test_what_a_file_holds(tmp_path):
    silence = np.zeros(4_000)
    samples = np.concatenate((silence, _tone(), silence[:1_600])) + 0.01
    sf.write(tmp_path / "a.wav", samples, 16_000, subtype="FLOAT")
    found = measure(str(tmp_path / "a.wav"))
    assert (found.error, found.sample_rate, found.channels) == ("", 16_000, 1)
    assert found.kind == "WAV FLOAT"
    assert found.seconds == pytest.approx(1.35)
    assert found.dc == pytest.approx(0.01, abs=1e-6)
    assert found.lead_s == pytest.approx(0.25, abs=0.01)
    assert found.trail_s == pytest.approx(0.1, abs=0.01)
    assert found.peak_db == pytest.approx(20 * np.log10(0.51), abs=0.01)
    assert found.spectrum.shape == (BANDS,)
    assert found.spectrum.mean() == pytest.approx(0, abs=1e-9)


def test_the_band_edge_shows_what_was_upsampled(tmp_path):
    rng = np.random.default_rng(0)
    spectrum = np.fft.rfft(0.1 * rng.standard_normal(48_000))
    spectrum[np.fft.rfftfreq(48_000, 1 / 48_000) > 8_000] = 0
    sf.write(tmp_path / "a.wav", np.fft.irfft(spectrum), 48_000, subtype="FLOAT")
    assert measure(str(tmp_path / "a.wav")).edge_hz == pytest.approx(8_000, abs=300)


def test_equal_audio_in_other_containers(tmp_path):
    words = np.rint(32_000 * _tone()).astype("int16")
    for name in ("a.wav", "b.flac"):
        sf.write(tmp_path / name, words, 16_000, subtype="PCM_16")
    sf.write(tmp_path / "c.wav", _tone(pitch=441.0), 16_000, subtype="PCM_16")
    a, b, c = (measure(str(tmp_path / n)).digest for n in ("a.wav", "b.flac", "c.wav"))
    assert a == b != c
    assert digest(np.zeros(4, "f4"), 8_000) != digest(np.zeros(4, "f4"), 16_000)


def test_what_cannot_be_read(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"nothing")
    assert measure(str(tmp_path / "none.wav")).error == "missing"
    assert "cannot be read as audio" in measure(str(tmp_path / "a.wav")).error


@settings(max_examples=25)
@given(st.integers(1, 700), st.floats(0, 1))
def test_any_short_clip(length, level):
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.wav"
        sf.write(path, np.full(length, level), 8_000, subtype="FLOAT")
        found = measure(str(path))
    assert not found.error and np.isfinite(found.spectrum).all()
    assert 0 <= found.lead_s <= found.seconds + 1e-9
