"""Percentile bootstrap intervals by trials or by clusters of trials.

Trials of one sentence or one speaker are not independent, so whole clusters are drawn with
replacement where a cluster column exists. A draw is a vector of weights (how often each trial
occurs), which lets several metrics, such as the EERs of several attacks and their average, be
computed on the same draws.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from loradar.errors import ConfigError
from loradar.evaluation.det import BoolArray, FloatArray, WeightedEer

RESAMPLES = 500
LEVEL = 0.95


class Resampler:
    """Draws bootstrap weights for a fixed set of trials.

    Clusters are drawn within three strata, those that hold bona fide trials only, spoofed only, or
    both: no class can vanish, and without clusters this is the bootstrap within each class.

    Parameters
    ----------
    is_bonafide : array_like of bool
        Shape ``[N]``.
    clusters : array_like, optional
        Shape ``[N]``; the cluster of each trial. A missing one (None, NaN, empty text) stands for a
        cluster of its own. Default: each trial is one.
    seed : int
        The same seed gives the same draws.
    """

    def __init__(
        self, is_bonafide: ArrayLike, clusters: ArrayLike | None = None, *, seed: int = 0
    ) -> None:
        real = np.asarray(is_bonafide, dtype=bool)
        self._cluster = cluster_codes(clusters, real.size)
        count = int(self._cluster.max()) + 1 if real.size else 0
        has_real = np.bincount(self._cluster, real, minlength=count) > 0
        has_fake = np.bincount(self._cluster, ~real, minlength=count) > 0
        kind = has_real + 2 * has_fake
        strata = [np.flatnonzero(kind == value) for value in (1, 2, 3)]
        self._strata = [members for members in strata if members.size]
        self._count = count
        self._seed = seed

    @property
    def clusters(self) -> int:
        """The number of clusters."""
        return self._count

    def draw(self, resamples: int) -> Iterator[FloatArray]:
        """Yield ``resamples`` weight vectors of shape ``[N]``.

        Raises
        ------
        ConfigError
            When ``resamples`` is below one.
        """
        if resamples < 1:
            raise ConfigError(f"a bootstrap needs at least one resample, not {resamples}")
        random = np.random.default_rng(self._seed)
        for _ in range(resamples):
            weight = np.zeros(self._count)
            for members in self._strata:
                drawn = random.integers(members.size, size=members.size)
                weight[members] = np.bincount(drawn, minlength=members.size)
            yield weight[self._cluster]


def cluster_codes(clusters: ArrayLike | None, size: int) -> NDArray[np.intp]:
    """Number the clusters from 0; trials without one get numbers of their own. Shape ``[N]``."""
    if clusters is None:
        return np.arange(size)
    names = pd.Series(np.asarray(clusters, dtype=object)).replace("", None)
    if len(names) != size:
        raise ConfigError(f"{len(names)} cluster names do not fit {size} trials")
    codes = pd.factorize(names)[0].astype(np.intp)
    alone = codes < 0
    codes[alone] = codes.max(initial=-1) + 1 + np.arange(int(alone.sum()))
    return codes


def percentile_interval(values: ArrayLike, level: float = LEVEL) -> tuple[float, float] | None:
    """Return the central interval that holds ``level`` of the values; None when all are NaN."""
    if not 0 < level < 1:
        raise ConfigError(f"the confidence level must lie inside (0, 1), not {level}")
    finite = np.asarray(values, dtype=np.float64)
    finite = finite[np.isfinite(finite)]
    if finite.size == 0:
        return None
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def eer_interval(
    scores: ArrayLike,
    is_bonafide: ArrayLike,
    clusters: ArrayLike | None = None,
    *,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> tuple[float, float]:
    """Compute the bootstrap interval of the tie-safe equal error rate.

    Drawing with replacement makes ties, so the tie-safe rate is the one resampled; on scores
    without ties the official one differs by less than one trial.

    Parameters
    ----------
    scores, is_bonafide : array_like
        Shape ``[N]``.
    clusters : array_like, optional
        See `Resampler`.
    resamples, level, seed
        Number of draws, coverage, and seed.

    Raises
    ------
    InputError
        When a class is empty or a score is not finite.
    ConfigError
        When ``resamples`` or ``level`` makes no sense, or ``clusters`` has another length.
    """
    rate = WeightedEer(scores, is_bonafide)
    resampler = Resampler(is_bonafide, clusters, seed=seed)
    interval = percentile_interval([rate(weight) for weight in resampler.draw(resamples)], level)
    assert interval is not None  # strata keep both classes in every draw
    return interval


def metric_interval(
    metric: Callable[[FloatArray, FloatArray], float],
    scores: ArrayLike,
    is_bonafide: ArrayLike,
    clusters: ArrayLike | None = None,
    *,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> tuple[float, float] | None:
    """Compute the bootstrap interval of any ``metric(bonafide, spoof)``; slower than the EER's.

    Parameters and errors as in `eer_interval`.
    """
    values = np.asarray(scores, dtype=np.float64)
    real: BoolArray = np.asarray(is_bonafide, dtype=bool)
    found = []
    for weight in Resampler(real, clusters, seed=seed).draw(resamples):
        times = weight.astype(np.intp)
        found.append(
            metric(np.repeat(values[real], times[real]), np.repeat(values[~real], times[~real]))
        )
    return percentile_interval(found, level)
