import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loradar.errors import ConfigError, InputError
from loradar.evaluation.metrics import cllr
from loradar.evaluation.spline import fit_spline


def _gauss(size: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return 2 + 2 * rng.normal(size=size), -2 + 2 * rng.normal(size=3 * size)  # their own llr


def _bend(llr: np.ndarray) -> np.ndarray:
    return np.sinh(llr / 2)


@pytest.mark.parametrize("p_spoof", [0.05, 0.5])
def test_a_bent_llr_is_found_again(p_spoof) -> None:
    bona, spoof = _gauss()
    curve = fit_spline(_bend(bona), _bend(spoof), p_spoof)
    wanted = np.linspace(-3, 3, 25)
    assert np.abs(curve(_bend(wanted)) - wanted).max() < 0.7
    assert cllr(curve(_bend(bona)), curve(_bend(spoof))) < cllr(bona, spoof) + 0.004


def test_scale_and_shift_do_not_matter() -> None:
    bona, spoof = _gauss(500)
    one, other = fit_spline(bona, spoof), fit_spline(1e3 * bona - 7e4, 1e3 * spoof - 7e4)
    np.testing.assert_allclose(other.llrs, one.llrs, atol=0.01)


@settings(max_examples=25)
@given(
    st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=30),
    st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=30),
)
def test_it_never_falls_and_stays_finite_whatever_the_trials(bona, spoof) -> None:
    if len({*bona, *spoof}) == 1:
        return
    curve = fit_spline(bona, spoof)
    llr = curve(np.linspace(-9, 9, 50))
    assert np.isfinite(llr).all()
    assert (np.diff(llr) >= 0).all()
    assert np.abs(llr).max() < 50  # where the classes stand apart, the penalty alone bounds it
    assert (np.diff(curve.scores) > 0).all()


def test_what_cannot_be_fitted_is_said() -> None:
    with pytest.raises(InputError, match="no bona fide"):
        fit_spline([], [1.0])
    with pytest.raises(ConfigError, match="p_spoof"):
        fit_spline([1.0], [0.0], p_spoof=1.0)
