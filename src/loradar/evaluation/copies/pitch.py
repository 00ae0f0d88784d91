"""Agreement of two pitch tracks."""

from __future__ import annotations

import numpy as np

from loradar.evaluation.copies.frames import Mask
from loradar.vocoders.analysis import Real

LEAST = 20  # frames voiced in both; a correlation over fewer says nothing


def f0_correlation(source: Real, copy: Real) -> float | None:
    """Return Pearson's correlation of the pitch in hertz over frames voiced in both.

    Parameters
    ----------
    source, copy : ndarray of float64, [N]
        Hertz, 0 where not voiced.

    Returns
    -------
    float or None
        None with fewer than 20 such frames, or when either track does not move.
    """
    both = (source > 0) & (copy > 0)
    if both.sum() < LEAST:
        return None
    one, other = source[both] - source[both].mean(), copy[both] - copy[both].mean()
    scale = float(np.sqrt((one @ one) * (other @ other)))
    # A constant track leaves rounding errors, which must not pass for movement.
    if scale <= 1e-9 * float(source[both] @ source[both]):
        return None
    return float(one @ other) / scale


def voicing_agreement(source: Real, copy: Real, speech: Mask) -> float:
    """Return the share of speech frames that are voiced in both clips or in neither.

    Parameters
    ----------
    source, copy : ndarray of float64, [N]
        Hertz, 0 where not voiced.
    speech : ndarray of bool, [N]
        Frames that count; at least one.
    """
    return float(np.mean((source > 0)[speech] == (copy > 0)[speech]))
