import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loradar.errors import CheckpointError, ConfigError, InputError
from loradar.evaluation.verdicts import Thresholds, check_verdicts, fit_thresholds


def _trials(rng, shift, real=300, fake=400):
    llr = np.concatenate([rng.normal(shift, 1, real), rng.normal(-shift, 1, fake)])
    return llr, np.arange(real + fake) < real


def _right(llr, labels, at):
    """Written out: shares of right verdicts at equal priors, with one wrong clip added."""
    real, fake = llr[labels], llr[~labels]
    hit, miss = (real >= at).mean(), ((fake >= at).sum() + 1) / (len(fake) + 1)
    return hit / (hit + miss)


@given(st.integers(0, 10_000), st.floats(0.3, 2.0), st.sampled_from([0.7, 0.9, 0.95]))
@settings(max_examples=40, deadline=None)
def test_the_threshold_is_the_loosest_one_that_is_right_often_enough(seed, shift, right):
    llr, labels = _trials(np.random.default_rng(seed), shift)
    found = fit_thresholds(llr, labels, right)
    assert found.spoof <= found.bonafide
    if found.spoof == found.bonafide or math.isinf(found.bonafide):
        return
    assert _right(llr, labels, found.bonafide) >= right
    looser = np.sort(llr[labels & (llr < found.bonafide)])
    assert all(_right(llr, labels, at) < right for at in looser)


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_turning_the_classes_round_turns_the_thresholds_round(seed):
    llr, labels = _trials(np.random.default_rng(seed), 1.0)
    one, two = fit_thresholds(llr, labels), fit_thresholds(-llr, ~labels)
    assert one.bonafide == -two.spoof
    assert one.spoof == -two.bonafide


def test_easy_scores_leave_no_clip_uncertain_and_hopeless_ones_all():
    rng = np.random.default_rng(0)
    llr, labels = _trials(rng, 6.0)
    easy = fit_thresholds(llr, labels)
    # Nothing was seen between the classes, and nothing is claimed there.
    assert (easy.bonafide, easy.spoof) == (llr[labels].min(), llr[~labels].max())
    # Where both verdicts would do well in between, one cut parts them.
    overlapping = fit_thresholds(*_trials(rng, 1.8))
    assert overlapping.bonafide == overlapping.spoof
    hopeless = fit_thresholds(*_trials(rng, 0.0))
    assert hopeless == Thresholds(math.inf, -math.inf, 0.9)
    report = check_verdicts(*_trials(rng, 0.0), hopeless)
    assert report["uncertain"]["share"] == 1.0
    assert report["bonafide"] == {"given": 0, "right": None, "low": None}


def test_a_verdict_for_a_handful_of_clips_is_not_given():
    # Five of a hundred real clips lie far above everything; the rest is at chance.
    rng = np.random.default_rng(0)
    llr = np.concatenate([np.full(5, 9.0), rng.normal(0, 1, 95), rng.normal(0, 1, 100)])
    assert fit_thresholds(llr, np.arange(200) < 100).bonafide == math.inf


def test_what_is_promised_holds_on_other_clips():
    rng = np.random.default_rng(3)
    thresholds = fit_thresholds(*_trials(rng, 0.8, 4_000, 4_000))
    report = check_verdicts(*_trials(rng, 0.8, 40_000, 40_000), thresholds)
    for name in ("bonafide", "spoof"):
        assert report[name]["right"] == pytest.approx(0.9, abs=0.01)
        assert report[name]["low"] < report[name]["right"]
        assert report[name]["low"] == pytest.approx(report[name]["right"], abs=0.01)
    assert 0.2 < report["uncertain"]["share"] < 0.7


def test_check_by_hand():
    llr = np.array([3.0, 3.0, 0.0, -3.0, 3.0, 0.0, -3.0, -3.0, -3.0])
    labels = np.arange(9) < 4
    report = check_verdicts(llr, labels, Thresholds(1.0, -1.0, 0.9))
    assert report["bonafide"]["given"] == 3
    assert report["bonafide"]["right"] == pytest.approx(0.5 / (0.5 + 0.2))
    assert report["spoof"]["given"] == 4
    assert report["spoof"]["right"] == pytest.approx(0.6 / (0.6 + 0.25))
    assert report["uncertain"]["share"] == pytest.approx((1 / 4 + 1 / 5) / 2)


def test_few_clips_give_a_loose_bound():
    llr = np.array([2.0] * 5 + [-2.0] * 5)
    report = check_verdicts(llr, llr > 0, Thresholds(1.0, -1.0, 0.9))
    assert report["bonafide"]["right"] == 1.0
    # Wilson at 5 of 5 and 0 of 5: 0.566 and 0.434.
    assert report["bonafide"]["low"] == pytest.approx(0.5655 / (0.5655 + 0.4345), abs=1e-3)


@given(st.floats(-20, 20), st.floats(0, 20), st.sampled_from([0.5, 0.9]))
def test_json_round_trip(spoof, gap, right):
    for found in (
        Thresholds(spoof + gap, spoof, right),
        Thresholds(math.inf, spoof, right),
        Thresholds(spoof, -math.inf, right),
    ):
        text = json.dumps(found.to_dict(), allow_nan=False)
        assert Thresholds.from_dict(json.loads(text)) == found


@pytest.mark.parametrize(
    "values",
    [
        None,
        {"bonafide": 1.0, "spoof": 0.0},
        {"bonafide": 0.0, "spoof": 1.0, "right": 0.9},
        {"bonafide": "1", "spoof": 0.0, "right": 0.9},
        {"bonafide": 1.0, "spoof": 0.0, "right": None},
        {"bonafide": 1.0, "spoof": 0.0, "right": 1.5},
        {"bonafide": math.nan, "spoof": 0.0, "right": 0.9},
    ],
)
def test_nonsense_is_refused(values):
    with pytest.raises(CheckpointError, match="thresholds"):
        Thresholds.from_dict(values)


def test_bad_input_is_named():
    with pytest.raises(InputError, match="no spoofed trial"):
        fit_thresholds([1.0, 2.0], [True, True])
    with pytest.raises(InputError, match="do not fit"):
        fit_thresholds([1.0, 2.0], [True])
    with pytest.raises(ConfigError, match="right"):
        fit_thresholds([1.0, 2.0], [True, False], right=1.0)
