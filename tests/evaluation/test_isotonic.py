import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loradar.errors import CheckpointError, InputError
from loradar.evaluation.curves import Curve
from loradar.evaluation.isotonic import fit_isotonic, min_cllr
from loradar.evaluation.metrics import cllr

# Few distinct values: ties are the hard case.
SCORES = st.lists(st.integers(-4, 4).map(float), min_size=1, max_size=12)


def _pooled(bona: list[float], spoof: list[float]) -> dict[float, float]:
    """Posterior of bona fide at each score, by the min-max formula of isotonic regression."""
    levels = sorted({*bona, *spoof})
    real = [bona.count(level) for level in levels]
    all_ = [r + spoof.count(level) for r, level in zip(real, levels, strict=True)]
    size = len(levels)

    def mean(low: int, high: int) -> float:
        return sum(real[low : high + 1]) / sum(all_[low : high + 1])

    return {
        levels[i]: max(min(mean(j, k) for k in range(i, size)) for j in range(i + 1))
        for i in range(size)
    }


@given(SCORES, SCORES)
def test_min_cllr_is_that_of_the_pooled_posteriors(bona, spoof) -> None:
    share = _pooled(bona, spoof)
    prior = len(bona) / len(spoof)
    real = sum(math.log2(1 + (1 - share[s]) / share[s] * prior) for s in bona) / len(bona)
    fake = sum(math.log2(1 + share[s] / (1 - share[s]) / prior) for s in spoof) / len(spoof)
    assert min_cllr(bona, spoof) == pytest.approx((real + fake) / 2)


@given(SCORES, SCORES)
def test_no_rising_map_of_the_scores_costs_less(bona, spoof) -> None:
    least = min_cllr(bona, spoof)
    assert -1e-12 <= least <= 1 + 1e-12
    for slope, shift in ((1.0, 0.0), (0.3, 0.5), (4.0, -1.0)):
        moved = [slope * np.array(part) + shift for part in (bona, spoof)]
        assert least <= cllr(*moved) + 1e-12
        assert min_cllr(*moved) == pytest.approx(least)


def test_perfect_and_useless_scores() -> None:
    assert min_cllr([2.0, 3.0], [1.0, -1.0]) == 0
    assert min_cllr([0.0, 0.0], [0.0]) == pytest.approx(1)
    assert min_cllr([-1.0], [1.0, 2.0]) == pytest.approx(1)
    with pytest.raises(InputError, match="no spoof trials"):
        min_cllr([1.0], [])


@given(SCORES, SCORES)
def test_the_curve_never_falls_and_stays_finite(bona, spoof) -> None:
    if len({*bona, *spoof}) == 1:
        return
    curve = fit_isotonic(bona, spoof)
    grid = np.linspace(-6, 6, 200)
    llr = curve(grid)
    assert np.isfinite(llr).all()
    assert (np.diff(llr) >= 0).all()
    assert llr[0] == curve([min(bona + spoof)])[0]
    assert np.abs(llr).max() <= math.log((len(bona) + 1) * (len(spoof) + 2)) + 1e-9
    assert Curve.from_dict(json.loads(json.dumps(curve.to_dict()))) == curve


def test_on_many_trials_the_curve_costs_next_to_the_least() -> None:
    rng = np.random.default_rng(0)
    bona, spoof = rng.normal(1, 1, 3000) ** 3, rng.normal(-1, 1, 5000) ** 3
    curve = fit_isotonic(bona, spoof)
    assert len(curve.scores) < 300  # two points a pool, not one a trial
    assert cllr(curve(bona), curve(spoof)) == pytest.approx(min_cllr(bona, spoof), abs=2e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "magic"}, "'magic' is not known"),
        ({"scores": [1.0, 1.0]}, "must rise"),
        ({"llrs": [1.0, 0.5]}, "not fall"),
        ({"llrs": [0.5]}, "2 scores and 1 llrs"),
        ({"llrs": [0.5, float("inf")]}, "finite"),
        ({"llrs": "no"}, "list of finite numbers"),
        ({"more": 1}, "not a mapping"),
    ],
)
def test_wrong_curves_are_refused(change, message) -> None:
    values = {"method": "spline", "scores": [0.0, 1.0], "llrs": [-1.0, 1.0]}
    assert Curve.from_dict(values)([-5.0, 0.5, 5.0]).tolist() == [-1.0, 0.0, 1.0]
    with pytest.raises(CheckpointError, match=message):
        Curve.from_dict(values | change)
