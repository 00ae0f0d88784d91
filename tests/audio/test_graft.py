"""Grafts: parts of a copy on its source."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loradar.audio import graft as module
from loradar.audio.graft import graft


def pair(seed=0, samples=8_000):
    rng = np.random.default_rng(seed)
    source = rng.standard_normal(samples).astype("f4")
    return rng.standard_normal(samples).astype("f4"), source


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), samples=st.integers(0, 3_000))
def test_a_graft_has_the_copys_length_and_level(seed, samples):
    copy, source = pair(seed, samples)
    made = graft(copy, source, np.random.default_rng(seed))
    assert made.shape == copy.shape and made.dtype == np.float32
    assert np.isfinite(made).all()
    if samples:
        assert np.isclose(np.std(made), np.std(copy), rtol=1e-3, atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_copy_that_is_its_source_stays(seed):
    _, source = pair(seed)
    made = graft(source, source, np.random.default_rng(seed))
    assert np.abs(made - source)[512:-512].max() < 2e-3


def as_kind(monkeypatch, kind):
    monkeypatch.setattr(module, "KINDS", (kind,))
    copy, source = pair(3)
    made = graft(copy, source, np.random.default_rng(1))
    return [np.abs(np.fft.rfft(x)) for x in (made, copy, source)], (made, copy, source)


def test_a_band_is_the_copys_and_the_rest_the_sources(monkeypatch):
    (made, copy, source), _ = as_kind(monkeypatch, "band")
    bands = len(made) // 40
    like_copy = [
        np.corrcoef(made[b : b + 40], copy[b : b + 40])[0, 1] for b in range(0, 40 * bands, 40)
    ]
    like_source = [
        np.corrcoef(made[b : b + 40], source[b : b + 40])[0, 1] for b in range(0, 40 * bands, 40)
    ]
    copied, kept = np.array(like_copy) > 0.9, np.array(like_source) > 0.9
    assert 0.08 < copied.mean() < 0.62
    assert kept.mean() > 0.3
    assert (copied | kept).mean() > 0.9
    assert np.diff(np.flatnonzero(copied)).max() == 1  # one band


@pytest.mark.parametrize(("kind", "whose"), [("magnitude", "copy"), ("phase", "source")])
def test_magnitudes_are_those_of_one_of_the_two(monkeypatch, kind, whose):
    # A filter without phase: copy and source differ in magnitude alone.
    _, source = pair(3)
    taps = np.zeros(33)
    taps[16], taps[8], taps[24] = 1.0, 0.45, 0.45
    clips = {"source": source, "copy": np.convolve(source, taps, "same").astype("f4")}
    monkeypatch.setattr(module, "KINDS", (kind,))
    made = graft(clips["copy"], source, np.random.default_rng(1))
    alike = {n: np.corrcoef(made[600:-600], clip[600:-600])[0, 1] for n, clip in clips.items()}
    assert alike[whose] > 0.98
    assert min(alike.values()) < 0.95


def apart(one, other):
    return float(np.sqrt(np.mean((one - other)[512:-512] ** 2)))


@pytest.mark.parametrize("kind", module.KINDS)
def test_a_shallow_graft_is_nearer_to_the_source(monkeypatch, kind):
    monkeypatch.setattr(module, "KINDS", (kind,))
    copy, source = pair(3)
    at = [
        graft(copy, source, np.random.default_rng(1), (depth, depth))
        for depth in (0.01, 0.3, 0.7, 1.0)
    ]
    far = [apart(made, source * (np.std(made) / np.std(source))) for made in at]
    assert far == sorted(far)
    assert far[0] < 0.05 * far[-1]
    assert np.array_equal(at[-1], graft(copy, source, np.random.default_rng(1)))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), least=st.floats(0.05, 1.0), most=st.floats(0.05, 1.0))
def test_a_depth_is_drawn_between_its_bounds(seed, least, most):
    least, most = sorted((least, most))
    copy, source = pair(seed)
    made, *ends = (
        graft(copy, source, np.random.default_rng(seed), depth)
        for depth in ((least, most), (least, least), (most, most))
    )
    level = float(np.std(source) / np.std(copy))  # all three have the copy's level
    far = [apart(x * level, source) for x in (ends[0], made, ends[1])]
    assert far[0] - 1e-3 <= far[1] <= far[2] + 1e-3


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="samples"):
        graft(np.zeros(600), np.zeros(601), np.random.default_rng(0))
