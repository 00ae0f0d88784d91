import itertools

import numpy as np
import pytest
import soundfile as sf
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from loradar.audio.reading import load_audio
from loradar.detector import load_detector
from loradar.evaluation.figures import png_bytes
from loradar.inference.explain import (
    BANDS,
    Effect,
    Explanation,
    band_effects,
    expert_effects,
    explain,
    telling,
    without_band,
)
from loradar.inference.picture import picture
from loradar.inference.sketch import COLUMNS, sketch
from loradar.inference.verdict import Segment, Verdict
from loradar.moe_lora.silence import silenced

WINDOWS = tuple(
    Segment(i * 0.5, i * 0.5 + 1, p, llr)
    for i, (p, llr) in enumerate([(0.2, 1.4), (0.9, -2.2), (0.6, -0.4), (0.1, 2.2), (0.7, -0.8)])
)
VERDICT = Verdict(
    "$clip_.wav",
    "SPOOF",
    0.8,
    -1.4,
    -1.4,
    ("weak_evidence",),
    WINDOWS[1:3],
    windows=WINDOWS,
    seconds=3.0,
)


class _Loudness:
    """Scores a window by its level between two frequencies."""

    window = 8_000

    def score_windows(self, batch):
        spectrum = np.abs(np.fft.rfft(batch, axis=1))
        hertz = np.fft.rfftfreq(batch.shape[1], 1 / 16_000)
        return spectrum[:, (hertz >= 1_000) & (hertz < 1_500)].sum(axis=1), {}


def test_only_the_band_that_counts_has_an_effect():
    batch = np.random.default_rng(0).standard_normal((3, 8_000)).astype(np.float32)
    effects = {e.name: e.effect for e in band_effects(_Loudness(), batch)}
    assert len(effects) == len(BANDS) - 1
    assert effects["1000-1500 Hz"] == pytest.approx(_Loudness().score_windows(batch)[0].mean())
    del effects["1000-1500 Hz"]
    np.testing.assert_allclose(list(effects.values()), 0, atol=0.5)
    assert expert_effects(_Loudness(), batch) == ()


@given(samples=st.integers(50, 3_000), seed=st.integers(0, 99))
@settings(max_examples=20)
def test_bands_add_up_to_the_whole(samples, seed):
    batch = np.random.default_rng(seed).standard_normal((2, samples)).astype(np.float32)
    parts = [batch - without_band(batch, low, high) for low, high in itertools.pairwise(BANDS)]
    np.testing.assert_allclose(sum(parts), batch, atol=1e-4)


def test_a_silenced_expert_adds_nothing_and_comes_back(tiny_model):
    detector = load_detector(tiny_model)
    batch = np.random.default_rng(1).normal(0, 0.1, (2, 6_000)).astype(np.float32)
    state = {name: tensor.clone() for name, tensor in detector.state_dict().items()}
    effects = expert_effects(detector, batch)
    assert [effect.name for effect in effects] == ["0", "1", "2", "3"]
    assert any(effect.effect != 0 for effect in effects)
    assert all(torch.equal(state[n], t) for n, t in detector.state_dict().items())
    whole = detector.score_windows(batch)[0]
    with torch.no_grad():
        for _, up in detector.mixture.tensors_of(2).values():
            up.zero_()
    assert effects[2].effect == pytest.approx(
        float((whole - detector.score_windows(batch)[0]).mean()), abs=1e-6
    )
    with pytest.raises(RuntimeError, match="inside"), silenced(detector.mixture, 0):
        raise RuntimeError("inside")


def test_the_windows_that_speak_for_the_verdict_are_looked_at(tmp_path):
    assert [w.llr for w in telling(VERDICT)] == [-2.2, -0.8, -0.4, 1.4]
    assert telling(Verdict("", "BONAFIDE", 0.1, windows=WINDOWS))[0].llr == 2.2
    path = tmp_path / "clip.wav"
    sf.write(path, 0.1 * np.random.default_rng(2).standard_normal(48_000), 16_000)
    verdict = Verdict(str(path), "SPOOF", 0.8, windows=(Segment(1.0, 1.5, 0.8, -1.4),))
    found = explain(_Loudness(), verdict)
    heard = load_audio(path)[16_000:24_000]
    np.testing.assert_allclose(
        found.bands[2].effect, _Loudness().score_windows(heard[None])[0].mean(), rtol=1e-3
    )
    assert found.to_dict()["windows"] == [[1.0, 1.5]]
    assert found.to_dict()["bands"][2]["low_hz"] == 1_000


@given(sizes=st.lists(st.integers(1, 4_000), min_size=1, max_size=5))
@settings(max_examples=20)
def test_a_sketch_does_not_depend_on_blocks(sizes):
    samples = np.random.default_rng(len(sizes)).standard_normal(sum(sizes)).astype(np.float32)
    seconds = len(samples) / 16_000
    one = sketch([samples], seconds)
    other = sketch(np.split(samples, np.cumsum(sizes)[:-1]), seconds)
    assert one.seconds == seconds
    assert one.high.max() == samples.max()
    assert one.low.min() == samples.min()
    for left, right in ((one.low, other.low), (one.high, other.high)):
        assert np.array_equal(left, right)
    np.testing.assert_allclose(one.level_db, other.level_db, atol=1e-3)


def test_a_long_sketch_has_as_many_columns_as_a_picture_shows():
    tone = np.sin(2 * np.pi * 1_000 * np.arange(16_000 * 30) / 16_000).astype(np.float32)
    found = sketch([tone], 30.0)
    assert found.level_db.shape == (257, COLUMNS)
    assert (found.level_db.argmax(axis=0) == 32).all()  # 31.25 Hz a bin


@pytest.mark.parametrize("explained", [False, True])
@pytest.mark.parametrize("call", [False, True])
def test_a_picture_is_a_png_whatever_the_verdict_holds(explained, call):
    sound = sketch([np.random.default_rng(0).standard_normal(48_000).astype(np.float32)], 3.0)
    verdict = Verdict("c", "SPOOF", 0.8, -1.4, windows=WINDOWS, channels=(VERDICT, VERDICT))
    bands = tuple(Effect(str(low), low - 4_000.0) for low in BANDS[:-1])
    explanation = Explanation(WINDOWS[:2], bands, (Effect("0", 0.1), Effect("1", -0.2)))
    figure = picture(verdict if call else VERDICT, sound, explanation if explained else None)
    assert len(figure.axes) == (5 if explained else 3)
    assert png_bytes(figure, dpi=20).startswith(b"\x89PNG")
