"""Draws that several processes make once between them."""

import copy
import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest

from loradar.errors import InputError
from loradar.training.shared_draws import SharedDraws, stream_key

WINDOW = 50


def _draw(position: int) -> np.ndarray:
    return np.random.default_rng(position).standard_normal(WINDOW).astype(np.float32)


def _work(folder: Path, length: int, made: "multiprocessing.Queue[int]") -> None:
    draws = SharedDraws(folder, "k", length=length, window=WINDOW)

    def make(position: int) -> np.ndarray:
        made.put(position)
        return _draw(position)

    for start in range(0, length, 8):
        batch = range(start, min(start + 8, length))
        draws.fill(batch, make)
        for position in batch:
            assert np.array_equal(draws[position], _draw(position))


def test_processes_make_each_draw_once_between_them(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    made = fork.Queue()
    # Runs of one stream may be of different lengths.
    workers = [fork.Process(target=_work, args=(tmp_path, n, made)) for n in (40, 61, 40, 61)]
    for worker in workers:
        worker.start()
    found = sorted(made.get(timeout=60) for _ in range(61))
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert found == list(range(61))
    assert made.empty()


def test_a_draw_whose_maker_died_is_made_by_the_next(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")

    def die(position: int) -> np.ndarray:
        os._exit(3)

    def work() -> None:
        SharedDraws(tmp_path, "k", length=4, window=WINDOW).fill([0, 1, 2], die)

    worker = fork.Process(target=work)
    worker.start()
    worker.join(60)
    assert worker.exitcode == 3
    draws = SharedDraws(tmp_path, "k", length=4, window=WINDOW)
    draws.fill([0, 1, 2], _draw)
    assert all(np.array_equal(draws[n], _draw(n)) for n in range(3))


def test_a_forked_and_a_new_process_open_files_of_their_own(tmp_path: Path) -> None:
    draws = SharedDraws(tmp_path, "k", length=4, window=WINDOW)
    draws.fill([1], _draw)
    again = copy.deepcopy(draws)
    again.fill([1], lambda position: pytest.fail(f"{position} is there"))
    assert np.array_equal(again[1], _draw(1))

    def work() -> None:
        draws.fill([2], _draw)

    worker = multiprocessing.get_context("fork").Process(target=work)
    worker.start()
    worker.join(60)
    draws.fill([2], lambda position: pytest.fail(f"{position} is there"))
    assert np.array_equal(draws[2], _draw(2))


def test_what_is_read_is_a_copy(tmp_path: Path) -> None:
    draws = SharedDraws(tmp_path, "k", length=1, window=WINDOW)
    draws.fill([0], _draw)
    draws[0][:] = 7
    assert np.array_equal(draws[0], _draw(0))


def test_a_folder_without_room_is_one_clear_line(tmp_path: Path, monkeypatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(InputError, match="cannot be kept here: No space left"):
        SharedDraws(tmp_path, "k", length=1, window=WINDOW)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be kept here"):
        SharedDraws(tmp_path / "file", "k", length=1, window=WINDOW)


def test_the_key_tells_streams_apart(tmp_path: Path) -> None:
    clip = tmp_path / "a.wav"
    clip.write_bytes(b"1")
    key = stream_key({"seed": 1}, [str(clip)])
    assert key == stream_key({"seed": 1}, [str(clip)])
    assert key != stream_key({"seed": 2}, [str(clip)])
    assert key != stream_key({"seed": 1}, [str(clip), str(tmp_path / "gone.wav")])
    clip.write_bytes(b"12")
    assert key != stream_key({"seed": 1}, [str(clip)])
