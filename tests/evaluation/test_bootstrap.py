import numpy as np
import pytest

from loradar.errors import ConfigError, InputError
from loradar.evaluation.bootstrap import (
    Resampler,
    cluster_codes,
    eer_interval,
    metric_interval,
    percentile_interval,
)
from loradar.evaluation.det import eer_tie_safe


def _gauss(seed: int, size: int, mu: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.arange(2 * size) < size
    return np.where(labels, mu, -mu) + rng.normal(size=2 * size), labels


def test_draws_keep_class_sizes_and_whole_clusters() -> None:
    labels = np.array([True, True, False, False, True, False])
    clusters = ["a", "a", "a", None, "", "b"]
    for weight in Resampler(labels, clusters, seed=1).draw(50):
        assert weight[0] == weight[1] == weight[2]  # one cluster comes as a whole
        assert weight[0] == 1  # the only cluster with both classes
        assert weight[4] == 1  # the only cluster that is bona fide alone
        assert weight[3] + weight[5] == 2
    for weight in Resampler(labels, seed=1).draw(50):
        assert weight[labels].sum() == 3
        assert weight[~labels].sum() == 3


def test_trials_without_a_cluster_stand_alone() -> None:
    codes = cluster_codes(["a", None, "b", "a", "", float("nan")], 6)
    assert codes[0] == codes[3]
    assert len(set(codes.tolist())) == 5
    assert cluster_codes(None, 3).tolist() == [0, 1, 2]
    with pytest.raises(ConfigError, match="2 cluster names do not fit 3 trials"):
        cluster_codes(["a", "b"], 3)


def test_the_seed_fixes_the_draws() -> None:
    scores, labels = _gauss(0, 100)
    first, second, other = (
        eer_interval(scores, labels, resamples=50, seed=seed) for seed in (3, 3, 4)
    )
    assert first == second
    assert first != other


def test_interval_covers_the_true_rate_about_as_often_as_it_says() -> None:
    truth = 0.158655  # Phi(-1)
    covered = 0
    for seed in range(100):
        low, high = eer_interval(*_gauss(seed, 150), resamples=100, level=0.9, seed=seed)
        covered += low <= truth <= high
    assert 80 <= covered <= 98


def test_fast_and_general_intervals_agree() -> None:
    scores, labels = _gauss(1, 60)
    clusters = (np.arange(120) // 4).astype(str)
    fast = eer_interval(scores, labels, clusters, resamples=40, seed=5)
    general = metric_interval(eer_tie_safe, scores, labels, clusters, resamples=40, seed=5)
    assert fast == pytest.approx(general)


def test_clusters_of_copies_widen_the_interval() -> None:
    scores, labels = _gauss(2, 100)
    scores, labels = np.repeat(scores, 10), np.repeat(labels, 10)
    clusters = np.repeat(np.arange(200), 10)
    narrow = np.diff(eer_interval(scores, labels, resamples=200))[0]
    wide = np.diff(eer_interval(scores, labels, clusters, resamples=200))[0]
    assert wide > 2 * narrow


def test_nonsense_is_refused() -> None:
    scores, labels = _gauss(3, 5)
    with pytest.raises(ConfigError, match="at least one resample"):
        eer_interval(scores, labels, resamples=0)
    with pytest.raises(ConfigError, match="level"):
        eer_interval(scores, labels, resamples=5, level=1.0)
    with pytest.raises(InputError, match="no spoof"):
        eer_interval([1.0], [True])
    assert percentile_interval([float("nan")]) is None


def test_a_hundred_thousand_trials_go_through() -> None:
    scores, labels = _gauss(4, 50_000)
    low, high = eer_interval(scores, labels, resamples=20)
    assert low < 0.1587 < high
    assert high - low < 0.01
