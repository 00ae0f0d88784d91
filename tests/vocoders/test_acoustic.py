import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loradar.vocoders.acoustic import STEPS, degrade_log_mel, draw_acoustic


def _log_mel(bands: int = 80, frames: int = 120) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(-3.0, 1.0, (frames, bands)).astype(np.float32)


def _degrade(x: np.ndarray, **step: float) -> np.ndarray:
    return degrade_log_mel(x, step, np.random.default_rng(1))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 9999), st.integers(0, 30), st.sampled_from([1, 20, 80]))
def test_shape_and_determinism(seed: int, frames: int, bands: int) -> None:
    x = _log_mel(bands, frames)
    before = x.copy()
    first, second = (
        degrade_log_mel(x, draw_acoustic(rng), rng)
        for rng in (np.random.default_rng(seed), np.random.default_rng(seed))
    )
    assert first.shape == x.shape and first.dtype == x.dtype
    assert np.isfinite(first).all() and np.array_equal(first, second)
    assert np.array_equal(x, before)


def test_half_of_the_copies_stay_exact() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw_acoustic(rng) for _ in range(400)]
    assert 0.42 < np.mean([not one for one in drawn]) < 0.58
    assert {step for one in drawn for step in one} == set(STEPS)
    assert max(len(one) for one in drawn) == 3
    assert np.array_equal(_degrade(_log_mel()), _log_mel())


def test_each_step_does_what_it_says() -> None:
    x = _log_mel()
    rough = np.abs(np.diff(x, axis=0)).mean(), np.abs(np.diff(x, axis=1)).mean()
    slow = _degrade(x, smooth_time=1.2)
    assert np.abs(np.diff(slow, axis=0)).mean() < 0.5 * rough[0]
    flat = _degrade(x, smooth_frequency=0.01)
    assert np.abs(np.diff(flat, axis=1)).mean() < 0.7 * rough[1]
    assert np.linalg.matrix_rank(_degrade(x, rank=8) - x.mean(axis=0), tol=1e-2) == 8
    steps = _degrade(x, quantise=0.5) / 0.5
    assert steps == pytest.approx(np.round(steps), abs=1e-5)
    assert np.std(_degrade(x, noise=0.3) - x) == pytest.approx(0.3, rel=1e-3)
