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


def test_one_fake_sentence_in_ten_minutes_is_found_and_another_human_voice_is_not_flagged():
    rng = np.random.default_rng(0)
    found, spliced = 0, 0
    for _ in range(40):
        real = _windows(rng, 300)
        at = rng.integers(10, 280)
        fake, other = real.copy(), real.copy()
        fake[at : at + 3] = _windows(rng, 3, -3.0)
        other[at : at + 3] = _windows(rng, 3, 0.5, 0.4)
        found += clip_llr(fake) < -np.log(2)
        spliced += clip_llr(other) < -np.log(2)
        (worst,) = [s for s in stretches(fake) if s.first <= at + 1 < s.last]
        if clip_llr(fake) < -np.log(2):
            assert worst.corrected < -np.log(2)
            assert abs(worst.first - at) <= 1
            assert abs(worst.last - at - 3) <= 1
    assert found >= 36
    assert spliced <= 2


@settings(max_examples=50)
@given(LLRS)
def test_stretches_cover_all_windows_in_order(llrs):
    parts = stretches(llrs)
    assert parts[0].first == 0
    assert parts[-1].last == len(llrs)
    assert all(a.last == b.first for a, b in pairwise(parts))
    for part in parts:
        assert part.llr == pytest.approx(np.mean(llrs[part.first : part.last]), abs=1e-6)
        assert abs(part.corrected) <= abs(part.llr) + 1e-9
    assert len(parts) <= len(llrs)


def test_steady_evidence_is_one_stretch():
    rng = np.random.default_rng(1)
    assert sum(len(stretches(_windows(rng, 300))) for _ in range(10)) < 40
    assert stretches([]) == []


def test_the_place_that_decides_counts_in_the_timeline_though_it_is_cut_a_window_off():
    # Four windows stand out, of which the last three alone are the stronger evidence.
    llrs = 3 + 1.1 * np.sin(2.1 * np.arange(345.0))
    llrs[200:204] = -0.2, -1.4, -1.45, -1.4
    assert clip_llr(llrs) == pytest.approx(np.mean(llrs[201:204]))
    (dip,) = (part for part in stretches(llrs) if part.first <= 202 < part.last)
    assert (dip.first, dip.last) == (200, 204)
    assert dip.corrected == pytest.approx(dip.llr)
