import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import signal

from loradar.audio.augmentation import EFFECTS, AugmentationConfig, available_codecs
from loradar.audio.augmentation import codecs as codecs_module
from loradar.audio.augmentation.codecs import CODECS, CodecKind, transcode
from loradar.audio.augmentation.effects import Samples
from loradar.corpora.voice import draw_speaker, speak

RATE = 16_000
MODES = [
    (name, rate, level)
    for name in available_codecs()
    for rate, levels in CODECS[name].modes
    for level in levels
]


def _speech(seconds: float = 2.0, seed: int = 3) -> Samples:
    rng = np.random.default_rng(seed)
    samples = speak(draw_speaker(rng), seconds, rng)
    return (0.5 * samples / np.abs(samples).max()).astype(np.float32)


def _lag(late: Samples, early: Samples) -> int:
    size = 2 * len(early)
    match = np.fft.irfft(np.fft.rfft(late, size) * np.conj(np.fft.rfft(early, size)), size)
    place = int(np.argmax(match))
    return place if place < len(early) else place - size


def test_the_common_codecs_are_in_the_build() -> None:
    assert {"opus", "mp3", "aac", "vorbis", "gsm", "g722", "pcm_mulaw"} <= set(available_codecs())


@pytest.mark.parametrize(("name", "rate", "level"), MODES)
def test_every_mode_changes_the_speech_and_leaves_it_in_place(
    name: str, rate: int, level: int
) -> None:
    speech = _speech()
    coded = transcode(speech, RATE, name, rate, level)
    assert coded.dtype == np.float32 and coded.shape == speech.shape
    assert np.array_equal(coded, transcode(speech, RATE, name, rate, level))
    assert not np.allclose(coded, speech, atol=1e-4)
    assert abs(_lag(coded, speech)) <= 8  # half a millisecond; a frame has 160
    assert np.corrcoef(coded, speech)[0, 1] > 0.5
    assert 0.7 < coded.std() / speech.std() < 1.3


@settings(max_examples=25)
@given(
    mode=st.sampled_from(MODES),
    length=st.integers(1, 5000),
    rate=st.sampled_from([8_000, 16_000, 22_050, 48_000]),
    scale=st.sampled_from([0.0, 1e-4, 1.0, 50.0]),
)
def test_any_clip_keeps_its_length_and_stays_finite(
    mode: tuple[str, int, int], length: int, rate: int, scale: float
) -> None:
    samples = np.float32(scale) * _speech(0.4)[:length]
    coded = transcode(samples, rate, *mode)
    assert coded.shape == samples.shape and np.isfinite(coded).all()
    assert np.abs(coded).max() <= 3 * max(1.0, np.abs(samples).max())


def test_louder_than_one_is_not_clipped() -> None:
    speech = 4 * _speech()
    coded = transcode(speech, RATE, "g722", 16_000, 64_000)
    assert np.corrcoef(coded, speech)[0, 1] > 0.98
    assert np.abs(coded).max() > 1.5


def test_the_draw_uses_what_is_asked_and_what_is_there() -> None:
    speech = _speech(0.5)
    drawn = EFFECTS["codec"].model_validate({"codecs": ["pcm_alaw"]})
    coded = drawn.apply(speech, RATE, np.random.default_rng(0))
    assert np.array_equal(coded, transcode(speech, RATE, "pcm_alaw", 8_000, 0))


def test_a_codec_that_the_build_lacks_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    lacking = CodecKind("no_such_encoder", "g722", ((16_000, (64_000,)),))
    monkeypatch.setitem(codecs_module.CODECS, "amr_wb", lacking)
    available_codecs.cache_clear()
    try:
        assert "amr_wb" not in available_codecs()
        assert "encoder no_such_encoder" in str(lacking.missing())
        effect = EFFECTS["codec"].model_validate({"codecs": ["amr_wb", "g722"]})
        speech = _speech(0.5)
        expected = transcode(speech, RATE, "g722", 16_000, 64_000)
        assert all(
            np.array_equal(effect.apply(speech, RATE, np.random.default_rng(s)), expected)
            for s in range(4)
        )
        with pytest.raises(ValidationError, match=r"no codec asked for is here \(amr_wb: "):
            EFFECTS["codec"].model_validate({"codecs": ["amr_wb"]})
    finally:
        available_codecs.cache_clear()


def test_an_unknown_codec_is_named() -> None:
    with pytest.raises(ValidationError, match="codec: codecs: no codec is called 'mp4'; there are"):
        AugmentationConfig.model_validate(
            {"steps": [{"name": "codec", "params": {"codecs": ["mp4"]}}]}
        )


def test_the_telephone_passes_its_band_alone() -> None:
    white = 0.1 * np.random.default_rng(0).standard_normal(64_000).astype(np.float32)
    effect = EFFECTS["telephone"].model_validate({"low_hz": [300, 300], "high_hz": [3400, 3400]})
    result = effect.apply(white, RATE, np.random.default_rng(0))
    frequencies, before = signal.welch(white, RATE)
    _, after = signal.welch(result, RATE)
    change = 10 * np.log10(after / before)
    assert np.abs(change[(frequencies > 500) & (frequencies < 3100)]).max() < 1.0
    assert change[frequencies < 100].max() < -12  # the filter's own slope
    assert change[frequencies > 4300].max() < -30
    assert _lag(result, white) == 0
