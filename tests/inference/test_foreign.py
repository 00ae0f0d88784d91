import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loradar.inference.foreign import distances, places


@given(st.integers(2, 60), st.integers(1, 80), st.integers(0, 99))
def test_the_weights_are_a_choice_of_places_whatever_is_heard(count, size, seed):
    sounds = np.random.default_rng(seed).standard_normal((count, size)).round(1)
    weights = places(sounds)
    assert weights.sum() == pytest.approx(1 - 1 / (count + 1))
    assert weights.max() == pytest.approx(0.5)
    assert np.isfinite(distances(sounds)).all()


def test_three_windows_from_elsewhere_are_the_first_of_hundreds():
    rng = np.random.default_rng(0)
    sounds = rng.standard_normal((260, 64)) * np.geomspace(0.1, 3.0, 64)
    sounds[100:103] += 1.5 * rng.standard_normal((3, 64)) * np.geomspace(0.1, 3.0, 64)
    assert set(np.argsort(-places(sounds))[:3]) == {100, 101, 102}


def test_levels_and_units_of_the_description_do_not_matter():
    sounds = np.random.default_rng(1).standard_normal((40, 6))
    other = sounds * np.array([1, 10, 0.1, 3, 1, 100]) + 7
    np.testing.assert_allclose(distances(other), distances(sounds), rtol=1e-9)


def test_equal_windows_are_all_alike():
    assert distances(np.ones((20, 4))).tolist() == [0.0] * 20
