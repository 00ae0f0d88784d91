"""Which windows of a recording sound unlike the rest of it, and so may have come from elsewhere.

Nothing here knows a detector's score: what sounds foreign is not spoofed for that. It tells where
to look first.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def distances(sounds: FloatArray) -> FloatArray:
    """Return how far each window is from the middle of the recording, [N].

    Squared Mahalanobis distance with the recording's own covariance, shrunk towards a multiple of
    the identity as far as the number of windows asks for (Ledoit and Wolf, "A well-conditioned
    estimator for large-dimensional covariance matrices", 2004).

    Parameters
    ----------
    sounds : ndarray, [N, D]
        A description of each window (`loradar.audio.timbre.timbre`); N >= 2.
    """
    scale = sounds.std(axis=0)
    whole = (sounds - sounds.mean(axis=0)) / np.where(scale > 0, scale, 1.0)
    count, size = whole.shape
    covariance = whole.T @ whole / count
    mean = float(np.trace(covariance)) / size
    target = mean * np.eye(size)
    spread = float(((covariance - target) ** 2).sum())
    # Mean squared distance of one window's outer product to their mean.
    noise = float(((whole**2).sum(axis=1) ** 2).mean() - (covariance**2).sum()) / count
    share = min(noise / spread, 1.0) if spread > 0 else 1.0
    values, axes = np.linalg.eigh(share * target + (1.0 - share) * covariance)
    apart = (sounds - np.median(sounds, axis=0)) / np.where(scale > 0, scale, 1.0)
    turned = apart @ axes
    found: FloatArray = (turned**2 / np.maximum(values, 1e-6)).sum(axis=1)
    return found


def places(sounds: FloatArray) -> FloatArray:
    """Return the prior probability that a stretch from elsewhere is at each window, [N].

    The j-th most foreign of N has 1 / (j (j + 1)): a half, a sixth, a twelfth, ...; what they lack
    to 1 is that there is none.

    Parameters
    ----------
    sounds : ndarray, [N, D]
        A description of each window; N >= 2.

    Examples
    --------
    >>> places(np.array([[0.0], [0.1], [9.0], [0.2]])).round(3).tolist()
    [0.167, 0.083, 0.5, 0.05]
    """
    rank = np.empty(len(sounds))
    rank[np.argsort(-distances(sounds), kind="stable")] = np.arange(1, len(sounds) + 1)
    found: FloatArray = 1.0 / (rank * (rank + 1.0))
    return found
