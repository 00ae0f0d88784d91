"""Parts of a batch in threads of their own."""

import threading

import numpy as np
import pytest
import torch
from tests.detector.test_fused import detector

from loradar.detector.side_by_side import LEAST, side_by_side


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_parts_come_back_in_order(two_threads):
    seen = []
    meet = threading.Barrier(2, timeout=60)

    def score(batch):
        meet.wait()  # both at the same time
        seen.append((threading.get_ident(), len(batch), torch.get_num_threads()))
        return batch[:, 0], {"router": batch * 2}

    batch = np.arange(18.0).reshape(9, 2)
    scores, gates = side_by_side(score, batch)
    assert np.array_equal(scores, batch[:, 0]) and np.array_equal(gates["router"], batch * 2)
    assert len({thread for thread, _, _ in seen}) == 2
    assert sorted(size for _, size, _ in seen) == [4, 5]
    assert [threads for _, _, threads in seen] == [1, 1]
    assert torch.get_num_threads() == 2
    # And what is started later has what it had before.
    later = []
    thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert later == [2]


@pytest.mark.parametrize(("threads", "windows"), [(1, 64), (2, 2 * LEAST - 1)])
def test_small_batches_and_single_threads_stay_whole(two_threads, threads, windows):
    torch.set_num_threads(threads)
    sizes = []
    side_by_side(lambda batch: (sizes.append(len(batch)) or batch, {}), np.zeros(windows))
    assert sizes == [windows]


def test_errors_come_through(two_threads):
    def score(batch):
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        side_by_side(score, np.zeros(8))
    assert torch.get_num_threads() == 2


def test_a_detector_scores_the_same_in_parts(two_threads):
    # Layers are mixed and spectra shared: what a thread hears must be its own.
    model = detector()
    clips = np.random.default_rng(0).standard_normal((24, 9_000)).astype(np.float32)
    for _ in range(3):
        scores, gates = model.score_windows(clips)
        torch.set_num_threads(1)
        whole, whole_gates = model.score_windows(clips)
        torch.set_num_threads(2)
        np.testing.assert_allclose(scores, whole, rtol=1e-5, atol=1e-5)
        assert list(gates) == list(whole_gates)
        for name, rows in gates.items():
            np.testing.assert_allclose(rows, whole_gates[name], rtol=1e-5, atol=1e-5)


def test_large_models_are_scored_whole(two_threads, monkeypatch):
    model = detector()
    sizes = []
    monkeypatch.setattr(
        model, "_score_part", lambda batch: (sizes.append(len(batch)) or batch[:, 0], {})
    )
    clips = np.zeros((16, 9_000), np.float32)
    model.score_windows(clips)
    monkeypatch.setattr("loradar.detector.model.SMALL", 1_000)
    model.score_windows(clips)
    assert sizes == [8, 8, 16]
