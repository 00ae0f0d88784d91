"""Mixtures of Gaussians: exact densities, a fit that only improves, and recovery."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from loradar.errors import InputError
from loradar.evaluation.suites import gaussians
from loradar.evaluation.suites.gaussians import DiagonalMixture, fit_mixture


def _clusters(seed: int = 0, count: int = 600) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.concatenate(
        [
            rng.normal([-3, 0], [0.5, 1.0], size=(count, 2)),
            rng.normal([3, 1], [1.0, 0.3], size=(2 * count, 2)),
        ]
    )


@given(st.integers(0, 1000), st.integers(1, 4), st.integers(1, 3))
def test_log_likelihood_is_that_of_the_densities(seed, components, dimensions):
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet(np.ones(components))
    means = rng.normal(size=(components, dimensions))
    variances = rng.uniform(0.2, 2, size=(components, dimensions))
    frames = rng.normal(size=(7, dimensions))
    expected = sum(
        weight * multivariate_normal(mean, np.diag(variance)).pdf(frames)
        for weight, mean, variance in zip(weights, means, variances, strict=True)
    )
    found = DiagonalMixture(weights, means, variances).log_likelihood(frames)
    np.testing.assert_allclose(found, np.log(expected), rtol=1e-9, atol=1e-9)


def test_it_finds_two_clusters():
    mixture = fit_mixture(_clusters(), 2, seed=3)
    order = np.argsort(mixture.means[:, 0])
    np.testing.assert_allclose(mixture.weights[order], [1 / 3, 2 / 3], atol=0.02)
    np.testing.assert_allclose(mixture.means[order], [[-3, 0], [3, 1]], atol=0.15)
    np.testing.assert_allclose(
        np.sqrt(mixture.variances[order]), [[0.5, 1.0], [1.0, 0.3]], atol=0.1
    )


def test_no_round_makes_the_fit_worse():
    frames = _clusters(seed=1, count=200)
    fits = [
        fit_mixture(frames, 5, rounds=rounds, tolerance=0).log_likelihood(frames).mean()
        for rounds in range(6)
    ]
    assert all(later >= earlier - 1e-9 for earlier, later in pairwise(fits))
    assert fits[-1] > fits[0]


def test_chunks_change_nothing_and_seeds_repeat(monkeypatch):
    frames = _clusters(seed=2, count=100)
    whole = fit_mixture(frames, 3)
    np.testing.assert_array_equal(whole.means, fit_mixture(frames, 3).means)
    monkeypatch.setattr(gaussians, "_CHUNK", 17)
    parts = fit_mixture(frames, 3)
    np.testing.assert_allclose(parts.means, whole.means, atol=1e-8)
    np.testing.assert_allclose(
        parts.log_likelihood(frames), whole.log_likelihood(frames), atol=1e-8
    )


def test_little_data_gets_few_components_and_none_is_an_error():
    assert len(fit_mixture(_clusters(count=10), 64).weights) == 1  # 30 frames, 20 each
    still = fit_mixture(np.ones((50, 3)), 2)
    assert np.isfinite(still.log_likelihood(np.ones((2, 3)))).all()
    with pytest.raises(InputError, match="needs frames"):
        fit_mixture(np.zeros((0, 3)))
