import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from loradar.detector.scorer import cut, score_clips
from loradar.inference.model import load_model


@pytest.fixture(scope="module")
def detector(tiny_model):
    return load_model(tiny_model, "cpu").detector


def _clips(*lengths: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal(n).astype(np.float32) for n in lengths]


def test_batching_across_clips_changes_no_score(detector):
    clips = _clips(5_000, 20_000, 6_000, 9_001, 100)
    alone = [next(score_clips(detector, [clip], batch_size=1)) for clip in clips]
    together = list(score_clips(detector, clips, batch_size=4))
    assert [c.starts for c in together] == [c.starts for c in alone]
    for one, two in zip(alone, together, strict=True):
        np.testing.assert_allclose(one.scores, two.scores, rtol=0, atol=1e-4)
        assert one.gates.keys() == two.gates.keys()
        for name in one.gates:
            np.testing.assert_allclose(one.gates[name], two.gates[name], atol=1e-4)


def test_scores_are_what_the_detector_says(detector):
    (clip,) = _clips(6_000)
    (result,) = score_clips(detector, [clip])
    with torch.inference_mode():
        logits = detector(torch.from_numpy(clip)[None])[0]
    assert result.score == pytest.approx(float(logits[1] - logits[0]), abs=1e-5)


def test_gates_of_an_expert_are_shares(detector):
    (result,) = score_clips(detector, _clips(30_000))
    assert result.gates
    for gates in result.gates.values():
        assert len(gates) == 4
        assert sum(gates) == pytest.approx(1.0, abs=1e-4)


def test_clips_are_read_a_batch_ahead_at_most(detector):
    taken = []

    def stream():
        for index, clip in enumerate(_clips(*[6_000] * 10)):
            taken.append(index)
            yield clip

    scores = score_clips(detector, stream(), batch_size=2)
    next(scores)
    assert len(taken) <= 3


def test_nothing_in_nothing_out(detector):
    assert list(score_clips(detector, [])) == []


@given(st.integers(1, 50_000), st.integers(400, 8_000))
def test_windows_cover_the_clip(length, window):
    pieces = cut(np.arange(length), window)
    assert all(len(piece) == window for _, piece in pieces)
    if length >= window:
        covered = np.concatenate([piece for _, piece in pieces])
        assert set(covered.tolist()) == set(range(length))
    assert [start for start, _ in cut(np.arange(length), window, "first")] == [0]
