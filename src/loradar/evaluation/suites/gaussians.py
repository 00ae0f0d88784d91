"""Mixtures of Gaussians with diagonal covariances, fitted by expectation maximisation.

Small enough to own: the package does not otherwise need a machine-learning library beside torch.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from scipy.cluster.vq import kmeans2
from scipy.special import logsumexp

from loradar.errors import InputError
from loradar.evaluation.det import FloatArray

COMPONENTS = 64
ROUNDS = 30
#: Mean log-likelihood (nats a frame) that a round must gain for another to follow.
TOLERANCE = 1e-3
#: Least variance of a component, as a share of the whole data's in that dimension.
LEAST_VARIANCE = 1e-2
#: Frames that a component needs; with less data there are fewer components.
FRAMES_EACH = 20
_SEEDING = 20_000
_CHUNK = 16_384


@dataclass(frozen=True)
class DiagonalMixture:
    """A fitted mixture of ``K`` Gaussians in ``D`` dimensions.

    Attributes
    ----------
    weights : ndarray
        Shape ``[K]``, adding up to one.
    means, variances : ndarray
        Shapes ``[K, D]``.
    """

    weights: FloatArray
    means: FloatArray
    variances: FloatArray

    def log_likelihood(self, frames: FloatArray) -> FloatArray:
        """Return the natural log of the density at each frame: ``[N, D]`` to ``[N]``."""
        parts = [logsumexp(self._joint(part), axis=1) for part in _chunks(frames)]
        return np.concatenate(parts) if parts else np.zeros(0)

    def _joint(self, frames: FloatArray) -> FloatArray:
        """Return the log of weight times density, ``[N, K]``."""
        precision = 1 / self.variances
        constant = (
            np.log(self.weights)
            - 0.5 * np.log(2 * np.pi * self.variances).sum(axis=1)
            - 0.5 * (self.means**2 * precision).sum(axis=1)
        )
        # The square multiplied out: two matrix products instead of an array [N, K, D].
        linear = frames @ (self.means * precision).T
        return np.asarray(constant + linear - 0.5 * (frames**2 @ precision.T))


def fit_mixture(
    frames: FloatArray,
    components: int = COMPONENTS,
    *,
    rounds: int = ROUNDS,
    tolerance: float = TOLERANCE,
    seed: int = 0,
) -> DiagonalMixture:
    """Fit a mixture to frames, starting from k-means.

    Parameters
    ----------
    frames : ndarray
        Shape ``[N, D]``; of about zero mean and unit variance, so that distances make sense.
    components : int
        Gaussians; fewer where there are less than 20 frames for each.
    rounds : int
        Most rounds of expectation maximisation.
    tolerance : float
        Stop when a round gains less than so many nats a frame.
    seed : int
        Of the start.

    Raises
    ------
    InputError
        When there are no frames.
    """
    if len(frames) == 0:
        raise InputError("a mixture of Gaussians needs frames to be fitted to")
    mixture = _start(frames, max(1, min(components, len(frames) // FRAMES_EACH)), seed)
    least = LEAST_VARIANCE * frames.var(axis=0) + 1e-12
    before = -np.inf
    for _ in range(rounds):
        mixture, fit = _round(mixture, frames, least)
        if fit - before < tolerance:
            break
        before = fit
    return mixture


def _start(frames: FloatArray, components: int, seed: int) -> DiagonalMixture:
    random = np.random.default_rng(seed)
    some = frames[random.permutation(len(frames))[:_SEEDING]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an empty cluster keeps its first frame, which is fine
        means, nearest = kmeans2(some, components, iter=10, minit="points", rng=random)
    size = np.bincount(nearest, minlength=components)
    spread = some.var(axis=0) + 1e-12
    variances = np.tile(spread, (components, 1))
    for number in np.flatnonzero(size > 1):
        variances[number] = some[nearest == number].var(axis=0)
    weights = (size + 1) / (size + 1).sum()
    return DiagonalMixture(weights, means, np.maximum(variances, LEAST_VARIANCE * spread))


def _round(
    mixture: DiagonalMixture, frames: FloatArray, least: FloatArray
) -> tuple[DiagonalMixture, float]:
    """Return the mixture after one round, and the mean log-likelihood before it."""
    size = np.zeros(len(mixture.weights))
    first, second = np.zeros(mixture.means.shape), np.zeros(mixture.means.shape)
    fit = 0.0
    for part in _chunks(frames):
        joint = mixture._joint(part)
        whole = logsumexp(joint, axis=1)
        share = np.exp(joint - whole[:, None])
        fit += float(whole.sum())
        size += share.sum(axis=0)
        first += share.T @ part
        second += share.T @ part**2
    alive = size > 1e-6
    count = np.where(alive, size, 1.0)[:, None]
    means = np.where(alive[:, None], first / count, mixture.means)
    variances = np.where(alive[:, None], second / count - means**2, mixture.variances)
    weights = np.maximum(size, 1e-6) / np.maximum(size, 1e-6).sum()
    return DiagonalMixture(weights, means, np.maximum(variances, least)), fit / len(frames)


def _chunks(frames: FloatArray) -> list[FloatArray]:
    return [frames[start : start + _CHUNK] for start in range(0, len(frames), _CHUNK)]
