"""Linear-phase FIR filters by the window method.

As `scipy.signal.firwin` with its Hamming window makes them. That import alone (it brings all of
scipy's statistics) takes as long as scoring a clip, and a detector needs one filter of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np


def windowed_sinc(
    taps: int,
    edges: Sequence[float],
    kind: Literal["highpass", "bandpass"],
    sample_rate: float,
) -> np.ndarray:
    """Design a filter that leaves the middle of its band as it is.

    Parameters
    ----------
    taps : int
        Odd, so that the delay is a whole number of samples.
    edges : sequence of float
        Hz, rising, where the gain is a half: one for ``highpass``, two for ``bandpass``.
    kind : {"highpass", "bandpass"}
        What passes.
    sample_rate : float
        Hz.

    Returns
    -------
    ndarray of float64, [taps]
        Symmetric; its gain is 1 at half the sample rate, or in the middle of the band.

    Raises
    ------
    ValueError
        An even number of taps.

    Examples
    --------
    >>> windowed_sinc(7, [3_000.0], "highpass", 16_000).round(3).tolist()
    [0.003, -0.035, -0.226, 0.624, -0.226, -0.035, 0.003]
    """
    if taps % 2 == 0:
        raise ValueError(f"{taps} taps: their number must be odd")
    nyquist = sample_rate / 2
    low = edges[0] / nyquist
    high = edges[1] / nyquist if kind == "bandpass" else 1.0
    places = np.arange(taps) - (taps - 1) / 2
    kernel = high * np.sinc(high * places) - low * np.sinc(low * places)
    kernel *= np.hamming(taps)
    middle = (low + high) / 2 if kind == "bandpass" else 1.0
    scaled: np.ndarray = kernel / np.sum(kernel * np.cos(np.pi * places * middle))
    return scaled
