from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loradar.inference.aggregate import clip_llr, combined_llr, stretches

LLRS = st.lists(st.floats(-30, 30), min_size=1, max_size=60)


def _windows(rng, count, mean=2.0, spread=0.9):
    """Evidence of windows that overlap by half, as within a real recording."""
    steps = rng.standard_normal(count + 1)
    return mean + spread * (steps[1:] + steps[:-1]) / 2**0.5


@given(LLRS)
def test_the_evidence_lies_within_the_windows_and_equal_ones_keep_theirs(llrs):
    assert min(llrs) - 1e-6 <= clip_llr(llrs) <= max(llrs) + 1e-6
    assert clip_llr([llrs[0]] * len(llrs)) == pytest.approx(llrs[0], abs=1e-6)
    assert combined_llr(llrs) <= np.mean(llrs) + 1e-6


@given(st.floats(-20, 20), st.integers(1, 300))
def test_one_odd_window_never_counts_more_than_its_own_evidence(llr, count):
    assert clip_llr([3.0] * count + [llr]) >= min(llr, 3.0) - 1e-6


def test_ten_minutes_of_real_speech_are_flagged_no_more_than_four_seconds():
    """Calibrated windows of variance 2m: N(m, 2m) real, N(-m, 2m) spoof."""
    rng = np.random.default_rng(0)
    mean = 1.5
    speakers = rng.normal(mean, np.sqrt(2 * mean - 0.9**2), 150)
    short = [clip_llr(_windows(rng, 1, m)) for m in speakers]
    long = [clip_llr(_windows(rng, 300, m)) for m in speakers]
    assert np.mean(np.less(long, -np.log(2))) <= np.mean(np.less(short, -np.log(2))) + 0.03
    assert np.mean(np.less(long, -np.log(20))) <= 1 / 20


def _places(rng, count, foreign=()):
    """Weights of windows by their sound: ``foreign`` first, the others in any order."""
    others = [row for row in rng.permutation(count) if row not in foreign]
    rank = np.empty(count)
    rank[[*foreign, *others]] = np.arange(1, count + 1)
    return 1 / (rank * (rank + 1))


def test_one_fake_sentence_that_sounds_foreign_is_found_and_another_human_voice_is_not_flagged():
    rng = np.random.default_rng(0)
    found, spliced = 0, 0
    for _ in range(40):
        real = _windows(rng, 300)
        at = int(rng.integers(10, 280))
        foreign = rng.permutation([at, at + 1, at + 2]).tolist()
        places = _places(rng, 300, foreign)
        fake, other = real.copy(), real.copy()
        fake[at : at + 3] = _windows(rng, 3, -3.0)
        other[at : at + 3] = _windows(rng, 3, 0.5, 0.4)
        found += clip_llr(fake, places) < -np.log(2)
        spliced += clip_llr(other, places) < -np.log(2)
        (worst,) = [s for s in stretches(fake, places) if s.first <= at + 1 < s.last]
        if clip_llr(fake, places) < -np.log(2):
            assert worst.corrected < -np.log(2)
            assert abs(worst.first - at) <= 1
            assert abs(worst.last - at - 3) <= 1
    assert found >= 36
    assert spliced <= 2


def test_real_speech_with_heavy_tails_is_not_flagged_for_its_worst_moment():
    # One reader of LibriSpeech: kurtosis 2.6 to 12. What is worst of 260 windows is no contrast.
    rng = np.random.default_rng(0)
    flagged = 0
    for _ in range(200):
        real = 2.2 + 0.7 * rng.standard_t(4, 260)
        flagged += clip_llr(real, _places(rng, 260)) < -np.log(3)
    assert flagged <= 200 / 20


@given(LLRS, st.integers(0, 9))
def test_what_sounds_foreign_is_not_spoofed_for_that(llrs, seed):
    rng = np.random.default_rng(seed)
    places = _places(rng, len(llrs))
    assert clip_llr(llrs, places) >= min(llrs) - 1e-6
    assert clip_llr(llrs, places) <= clip_llr(llrs) + np.log(2) + 1e-9
    if len(llrs) < 12:
        assert clip_llr(llrs, places) == clip_llr(llrs)


@settings(max_examples=50)
@given(LLRS, st.booleans())
def test_stretches_cover_all_windows_in_order(llrs, heard):
    places = _places(np.random.default_rng(0), len(llrs)) if heard else None
    parts = stretches(llrs, places)
    assert parts[0].first == 0
    assert parts[-1].last == len(llrs)
    assert all(a.last == b.first for a, b in pairwise(parts))
    for part in parts:
        assert part.llr == pytest.approx(np.mean(llrs[part.first : part.last]), abs=1e-6)
        assert abs(part.corrected) <= np.abs(llrs[part.first : part.last]).max() + 1e-9
    assert len(parts) <= len(llrs)


def test_steady_evidence_is_one_stretch():
    rng = np.random.default_rng(1)
    assert sum(len(stretches(_windows(rng, 300))) for _ in range(10)) < 40
    assert stretches([]) == []


def test_the_place_that_decides_is_seen_in_the_timeline_though_no_change_is():
    # One window of a noisy recording, too short for a change, that sounds foreign.
    llrs = 3 + 2.5 * np.sin(2.1 * np.arange(345.0))
    llrs[201] = -5.0
    places = _places(np.random.default_rng(0), 345, [201])
    assert not any(part.first == 201 for part in stretches(llrs))
    assert clip_llr(llrs, places) == pytest.approx(-5.0 + np.log(4), abs=0.1)
    (dip,) = (part for part in stretches(llrs, places) if part.first <= 201 < part.last)
    assert (dip.first, dip.last) == (201, 202)
    assert dip.corrected == pytest.approx(-5.0 + np.log(4), abs=0.1)
