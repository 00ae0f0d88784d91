import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loradar.audio import crop, tile_repeat, windows
from loradar.audio.windows import WindowCutter
from loradar.errors import InputError


@given(st.integers(1, 500), st.integers(1, 120), st.integers(1, 120))
def test_windows_cover_the_clip(total: int, length: int, hop: int) -> None:
    samples = np.arange(total)
    parts = windows(samples, length, hop)
    starts = [start for start, _ in parts]
    assert all(len(part) == length for _, part in parts)
    assert starts[0] == 0 and starts == sorted(set(starts))
    if total < length:
        assert len(parts) == 1
        return
    assert all(np.array_equal(part, samples[start : start + length]) for start, part in parts)
    assert starts[-1] + length == total
    assert all(later - earlier <= hop for earlier, later in itertools.pairwise(starts))
    assert starts[:-1] == [hop * i for i in range(len(starts) - 1)]


def test_default_windows_overlap_by_a_third() -> None:
    assert [start for start, _ in windows(np.zeros(130_000))] == [0, 43_066, 65_400]
    assert [start for start, _ in windows(np.zeros(64_600))] == [0]


@given(st.integers(1, 60), st.integers(1, 200))
def test_tile_repeat_is_periodic(total: int, length: int) -> None:
    tiled = tile_repeat(np.arange(total), length)
    assert np.array_equal(tiled, np.arange(length) % total)


@given(st.integers(1, 80), st.integers(1, 80), st.integers(0, 2**32 - 1))
def test_crop_is_a_stretch_of_the_clip(total: int, length: int, seed: int) -> None:
    samples = np.arange(total)
    part = crop(samples, length, np.random.default_rng(seed))
    assert len(part) == length
    assert np.array_equal(part, (np.arange(length) + part[0]) % total)
    assert np.array_equal(part, crop(samples, length, np.random.default_rng(seed)))


def test_crop_reaches_every_start_and_draws_once() -> None:
    rng = np.random.default_rng(0)
    assert {int(crop(np.arange(6), 4, rng)[0]) for _ in range(200)} == {0, 1, 2}
    short, long = np.random.default_rng(1), np.random.default_rng(1)
    crop(np.arange(3), 10, short)
    crop(np.arange(99), 10, long)
    assert short.random() == long.random()


@pytest.mark.parametrize("samples", [np.zeros(0), np.zeros((2, 5))])
def test_what_is_no_mono_clip_is_refused(samples: np.ndarray) -> None:
    for cut in (windows, tile_repeat):
        with pytest.raises(InputError, match="mono"):
            cut(samples, 10)
    with pytest.raises(InputError):
        windows(np.zeros(5), 3, 0)
    with pytest.raises(InputError):
        tile_repeat(np.zeros(5), 0)


@given(
    st.integers(1, 60),
    st.integers(1, 12),
    st.integers(1, 14),
    st.lists(st.integers(0, 20), max_size=6),
)
def test_pieces_give_the_windows_of_the_whole(length, window, hop, cuts):
    clip = np.arange(length)
    cutter = WindowCutter(window, hop)
    found = []
    for piece in np.split(clip, sorted(min(c, length) for c in cuts)):
        found += cutter.push(piece)
    found += cutter.close()
    whole = windows(clip, window, hop)
    assert [start for start, _ in found] == [start for start, _ in whole]
    for (_, one), (_, two) in zip(found, whole, strict=True):
        np.testing.assert_array_equal(one, two)
    assert cutter.samples == length


def test_a_cutter_keeps_no_more_than_it_needs():
    cutter = WindowCutter(100, 50)
    for _ in range(1_000):
        cutter.push(np.zeros(37, np.float32))
    assert len(cutter._kept) < 200
    assert WindowCutter(100, 50).close() == []
