"""Metrics against definitions written out trial by trial, and what must hold for any scores."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loradar.errors import ConfigError, InputError
from loradar.evaluation.det import (
    WeightedEer,
    det_curve,
    eer,
    eer_convex_hull,
    eer_tie_safe,
)
from loradar.evaluation.metrics import (
    act_dcf,
    auc,
    bayes_threshold,
    cllr,
    min_dcf,
    within_group_auc,
)
from loradar.evaluation.tandem import ASVSPOOF5, AsvErrors, TandemCosts, min_a_dcf, min_t_dcf

# Few distinct values: ties are the hard case.
SCORES = st.lists(st.integers(-4, 4).map(float), min_size=1, max_size=14)
METRICS = (eer, eer_tie_safe, eer_convex_hull, min_dcf, act_dcf, cllr, auc)


def _curve(bona: list[float], spoof: list[float]) -> list[tuple[float, float]]:
    """(FRR, FAR) at every threshold between distinct scores, by counting."""
    cuts = [-math.inf, *sorted({*bona, *spoof})]
    return [
        (
            sum(score <= cut for score in bona) / len(bona),
            sum(score > cut for score in spoof) / len(spoof),
        )
        for cut in cuts
    ]


@given(SCORES, SCORES)
def test_tie_safe_eer_is_the_crossing_of_the_counted_curve(bona, spoof) -> None:
    points = _curve(bona, spoof)
    for (frr0, far0), (frr1, far1) in pairwise(points):
        before, after = frr0 - far0, frr1 - far1
        if before < 0 <= after:
            share = -before / (after - before)
            assert eer_tie_safe(bona, spoof) == pytest.approx(frr0 + share * (frr1 - frr0))
            return
    raise AssertionError("the curve runs from (0, 1) to (1, 0) and must cross")


@given(SCORES, SCORES)
def test_min_dcf_is_the_lowest_counted_cost(bona, spoof) -> None:
    costs = [0.95 * frr + 0.5 * far for frr, far in _curve(bona, spoof)]
    assert min_dcf(bona, spoof) == pytest.approx(min(costs) / 0.5)


@given(SCORES, SCORES)
def test_auc_counts_pairs(bona, spoof) -> None:
    wins = sum((b > s) + (b == s) / 2 for b in bona for s in spoof)
    assert auc(bona, spoof) == pytest.approx(wins / len(bona) / len(spoof))


@given(SCORES, SCORES)
def test_convex_hull_never_lies_above_and_never_above_half(bona, spoof) -> None:
    hull = eer_convex_hull(bona, spoof)
    assert -1e-12 <= hull <= min(eer_tie_safe(bona, spoof), 0.5) + 1e-12


@given(SCORES, SCORES, st.randoms())
def test_tie_safe_eer_does_not_depend_on_the_order_of_trials(bona, spoof, random) -> None:
    before = eer_tie_safe(bona, spoof)
    random.shuffle(bona)
    random.shuffle(spoof)
    assert eer_tie_safe(bona, spoof) == before


@given(SCORES, SCORES)
def test_ranking_metrics_ignore_a_rising_map(bona, spoof) -> None:
    warped = [np.exp(np.array(part) / 3) for part in (bona, spoof)]
    for metric in (eer, eer_tie_safe, eer_convex_hull, min_dcf, auc):
        assert metric(*warped) == pytest.approx(metric(bona, spoof))


@settings(max_examples=50)
@given(SCORES, SCORES, st.integers(1, 4), st.integers(1, 4))
def test_weights_count_like_copies(bona, spoof, times_bona, times_spoof) -> None:
    scores = np.array(bona + spoof)
    labels = np.arange(scores.size) < len(bona)
    # Unequal weights inside the classes: the first trial of each comes once more.
    weights = np.where(labels, times_bona, times_spoof)
    weights[0] += 1
    weights[len(bona)] += 1
    copied = np.repeat(scores, weights), np.repeat(labels, weights)
    expected = eer_tie_safe(copied[0][copied[1]], copied[0][~copied[1]])
    assert WeightedEer(scores, labels)(weights) == pytest.approx(expected)


@given(st.integers(0, 10_000))
def test_many_weightings_at_once_give_what_each_gives(seed) -> None:
    rng = np.random.default_rng(seed)
    size = rng.integers(2, 12)
    labels = np.arange(size) < rng.integers(1, size)
    rate = WeightedEer(rng.integers(-3, 4, size=size).astype(float), labels)
    weights = rng.integers(0, 3, size=(6, size)).astype(float)
    np.testing.assert_allclose(rate.many(weights), [rate(w) for w in weights], atol=1e-9)


def test_weights_that_leave_a_class_empty_give_nan() -> None:
    rate = WeightedEer([1.0, 2.0, 0.0], [True, True, False])
    assert math.isnan(rate([1, 1, 0]))
    assert rate([1, 0, 1]) == 0.0


def test_det_curve_steps_through_every_trial_bona_fide_first() -> None:
    frr, far, thresholds = det_curve([1.0, 1.0, 2.0], [1.0, 0.0])
    np.testing.assert_allclose(frr, [0, 0, 1 / 3, 2 / 3, 2 / 3, 1])
    np.testing.assert_allclose(far, [1, 0.5, 0.5, 0.5, 0, 0])
    np.testing.assert_allclose(thresholds, [-0.001, 0, 1, 1, 1, 2])


@pytest.mark.parametrize("metric", METRICS)
def test_bad_scores_are_refused_with_the_class_and_the_trial(metric) -> None:
    with pytest.raises(InputError, match="no spoof trials"):
        metric([1.0], [])
    with pytest.raises(InputError, match="no bona fide trials"):
        metric([], [1.0])
    with pytest.raises(InputError, match=r"1 of 2 bona fide scores.*number 2 is nan"):
        metric([1.0, math.nan], [0.0])
    with pytest.raises(InputError, match="2 of 2 spoof scores"):
        metric([1.0], [math.inf, -math.inf])


def test_cost_parameters_move_the_costs_as_they_should() -> None:
    bona, spoof = [2.0, 1.0, -1.0], [1.5, -2.0, -3.0]
    assert bayes_threshold(0.5, 1, 1) == 0
    # Equal priors and costs: at threshold 0 one third of each class errs; cost is the sum.
    assert act_dcf(bona, spoof, p_spoof=0.5, c_fa=1) == pytest.approx(2 / 3)
    assert min_dcf(bona, spoof, p_spoof=0.5, c_fa=1) == pytest.approx(1 / 3)
    for wrong in ({"p_spoof": 0.0}, {"p_spoof": 1.0}, {"c_miss": 0.0}, {"c_fa": -1.0}):
        with pytest.raises(ConfigError):
            min_dcf(bona, spoof, **wrong)


def test_within_group_auc_is_blind_to_the_group() -> None:
    rng = np.random.default_rng(0)
    group = np.repeat(["x", "y"], 1000)
    # In x most are human, in y few; the score knows the group only.
    real = rng.random(2000) < np.where(group == "x", 0.9, 0.1)
    score = np.where(group == "x", 1.0, 0.0)
    assert auc(score[real], score[~real]) > 0.85
    found = within_group_auc(score, real, group)
    assert found.value == 0.5
    assert found.groups == {"x": 0.5, "y": 0.5}


def test_within_group_auc_weighs_groups_by_their_spoofed_trials() -> None:
    score = [1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 5.0, 9.0]
    real = [True, False, False, False, True, False, True, True]
    group = ["x", "x", "x", "x", "y", "y", "human-only", None]
    found = within_group_auc(score, real, group)
    assert found.groups == {"x": 1.0, "y": 0.0}
    assert found.value == pytest.approx(0.75)
    assert found.spoof == 4
    assert within_group_auc([1.0, 0.0], [True, False], ["x", "y"]).value is None


def test_a_perfect_tandem_costs_nothing_and_a_useless_one_costs_one() -> None:
    assert min_a_dcf([2.0, 3.0], [0.0], [-1.0]).value == 0
    assert min_a_dcf([0.0], [0.0], [0.0]).value == pytest.approx(1)
    flawless = AsvErrors(p_miss=0.0, p_fa=0.0, p_fa_spoof=1.0)
    assert min_t_dcf([1.0], [0.0], flawless).value == 0
    assert min_t_dcf([0.0], [1.0], flawless).value == pytest.approx(1)


def test_tandem_costs_are_checked() -> None:
    with pytest.raises(ConfigError, match="sum to"):
        TandemCosts(0.5, 0.1, 0.1, 1, 10, 10)
    with pytest.raises(ConfigError, match="positive"):
        TandemCosts(0.9, 0.05, 0.05, 0, 10, 10)
    hopeless = AsvErrors(p_miss=1.0, p_fa=1.0, p_fa_spoof=0.0)
    with pytest.raises(ConfigError, match="nothing to gain"):
        min_t_dcf([1.0], [0.0], hopeless, ASVSPOOF5)
    with pytest.raises(InputError, match="no non-target trials"):
        min_a_dcf([1.0], [], [0.0])
