import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loradar.errors import CheckpointError, ConfigError, InputError
from loradar.evaluation.calibration import Calibration, fit, posterior
from loradar.evaluation.det import eer
from loradar.evaluation.metrics import cllr


def _gauss(size: int, scale: float = 1.0, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = np.arange(4 * size) < size
    llr = np.where(labels, 2.0, -2.0) + 2 * rng.normal(size=4 * size)  # its own llr
    return scale * llr + shift, labels


@pytest.mark.parametrize("p_spoof", [0.05, 0.5, 0.9])
@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (0.01, -50.0), (300.0, 1e4)])
def test_the_true_llr_is_found_again_whatever_scale_and_prior(p_spoof, scale, shift) -> None:
    scores, labels = _gauss(20_000, scale, shift)
    calibration = fit(scores, labels, p_spoof)
    assert calibration.slope * scale == pytest.approx(1, abs=0.05)
    assert calibration.slope * shift + calibration.intercept == pytest.approx(0, abs=0.08)
    assert (calibration.bonafide, calibration.spoof) == (20_000, 60_000)
    llr = calibration.llr(scores)
    assert eer(llr[labels], llr[~labels]) == eer(scores[labels], scores[~labels])


def test_fit_is_a_minimum_of_cllr_at_even_prior() -> None:
    scores, labels = _gauss(500, 3.0, 1.0)
    found = fit(scores, labels)
    best = cllr(found.llr(scores[labels]), found.llr(scores[~labels]))
    for slope, shift in ((1.05, 0), (0.95, 0), (1, 0.05), (1, -0.05)):
        llr = slope * found.llr(scores) + shift
        assert cllr(llr[labels], llr[~labels]) > best
    assert best < cllr(scores[labels], scores[~labels])


def test_scores_the_wrong_way_round_or_constant_say_nothing() -> None:
    scores, labels = _gauss(200)
    for useless in (-scores, np.zeros(scores.size)):
        calibration = fit(useless, labels)
        assert calibration.slope == 0
        np.testing.assert_allclose(calibration.llr(useless), 0, atol=1e-6)


def test_separable_scores_get_a_finite_slope() -> None:
    calibration = fit([3.0, 4.0, 5.0, -3.0, -4.0], [True, True, True, False, False])
    assert 0 < calibration.llr([3.0])[0] < 20
    assert calibration.llr([-3.0])[0] < 0


@given(st.floats(-30, 30), st.floats(0.01, 0.99))
def test_posterior_is_bayes_rule(llr: float, prior: float) -> None:
    ratio = math.exp(llr) * (1 - prior) / prior
    assert posterior([llr], prior)[0] == pytest.approx(1 / (1 + ratio))


def test_posterior_never_overflows() -> None:
    assert posterior([-1e6, 0.0, 1e6]).tolist() == [1.0, 0.5, 0.0]


def test_round_trip_through_json_is_exact() -> None:
    calibration = fit(*_gauss(50))
    assert Calibration.from_dict(json.loads(json.dumps(calibration.to_dict()))) == calibration


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"slope": -1.0}, "negative"),
        ({"slope": float("nan")}, "slope must be a finite number"),
        ({"intercept": "0"}, "intercept must be a finite number"),
        ({"extra": 1}, "unknown keys: extra"),
    ],
)
def test_altered_files_are_refused(change, message) -> None:
    values = Calibration(1.0, 0.0, 0.5, 3, 4).to_dict() | change
    with pytest.raises(CheckpointError, match=message):
        Calibration.from_dict(values)


def test_a_missing_class_is_named() -> None:
    with pytest.raises(InputError, match="no spoofed trial among 2"):
        fit([1.0, 2.0], [True, True])
    with pytest.raises(InputError, match="no bona fide trial"):
        fit([1.0], [False])
    with pytest.raises(InputError, match="not finite"):
        fit([1.0, math.nan], [True, False])
    with pytest.raises(ConfigError, match="prior"):
        fit([1.0, 0.0], [True, False], p_spoof=0)


@pytest.mark.parametrize(
    "change", [{"p_spoof": 7}, {"p_spoof": 0}, {"slope": 1e300}, {"intercept": -1e9}]
)
def test_values_no_fit_would_give_are_refused(change):
    values = {"slope": 1.0, "intercept": 0.0, "p_spoof": 0.5, "bonafide": 3, "spoof": 3}
    assert Calibration.from_dict(values).slope == 1.0
    with pytest.raises(CheckpointError):
        Calibration.from_dict({**values, **change})
    with pytest.raises(CheckpointError, match="not a mapping"):
        Calibration.from_dict(None)
