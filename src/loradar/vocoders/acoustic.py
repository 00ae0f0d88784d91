"""Spoil a log-mel spectrogram the way the acoustic models of speech synthesis do.

A vocoder in a synthesiser never sees a real spectrogram: it gets what a network predicted, which
is smoother in time and frequency than speech (Toda and Tokuda 2007 on over-smoothed trajectories),
of low rank, and a little wrong. Copies made from exact spectrograms lack these traces.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from loradar.vocoders.ranges import Span

EXACT = 0.5  # share of copies whose spectrogram stays as it is
STEPS: dict[str, Span] = {
    "smooth_time": Span(0.4, 1.2),  # standard deviation of a Gaussian, frames
    "smooth_frequency": Span(0.003, 0.01),  # the same, as a share of the bands: harmonics survive
    "quantise": Span(0.1, 1.0),  # step in nepers: 0.9 to 8.7 dB
    "rank": Span(6, 32),  # singular vectors kept
    "noise": Span(0.05, 0.4),  # standard deviation in nepers
}


def draw_acoustic(rng: np.random.Generator) -> dict[str, Any]:
    """Draw the settings of `degrade_log_mel`: nothing for half of the copies, else 1 to 3 steps.

    Returns
    -------
    dict
        Of the keys in `STEPS`; empty leaves the spectrogram exact.
    """
    if rng.random() < EXACT:
        return {}
    count = int(rng.integers(1, 4))
    chosen = {str(name) for name in rng.choice(list(STEPS), count, replace=False)}
    return {name: span(rng) for name, span in STEPS.items() if name in chosen}


def degrade_log_mel(
    log_mel: NDArray[Any], settings: Mapping[str, Any], rng: np.random.Generator
) -> NDArray[Any]:
    """Smooth, quantise, reduce in rank and blur a log-mel spectrogram, as ``settings`` say.

    Parameters
    ----------
    log_mel : ndarray, [N, bands]
        Natural logarithm of mel magnitudes, frames first.
    settings : mapping
        As `draw_acoustic` gives; empty returns the spectrogram unchanged.
    rng : numpy.random.Generator
        Draws the noise.

    Returns
    -------
    ndarray, [N, bands]
        Of the same dtype.
    """
    if not settings or log_mel.size == 0:
        return log_mel
    x = np.asarray(log_mel, np.float64)
    bands = x.shape[1]
    if "smooth_time" in settings:
        x = ndimage.gaussian_filter1d(x, settings["smooth_time"], axis=0, mode="nearest")
    if "smooth_frequency" in settings:
        sigma = settings["smooth_frequency"] * bands
        x = ndimage.gaussian_filter1d(x, sigma, axis=1, mode="nearest")
    if "rank" in settings:
        x = _low_rank(x, settings["rank"])
    if "noise" in settings:
        # Errors of a predictor are correlated from frame to frame and band to band.
        error = ndimage.gaussian_filter(rng.standard_normal(x.shape), 1.0, mode="wrap")
        x = x + error * (settings["noise"] / max(float(error.std()), 1e-12))
    if "quantise" in settings:
        x = np.round(x / settings["quantise"]) * settings["quantise"]
    return x.astype(log_mel.dtype)


def _low_rank(x: NDArray[np.float64], rank: int) -> NDArray[np.float64]:
    """Project [N, bands] on its ``rank`` strongest directions about the mean frame."""
    mean = x.mean(axis=0)
    centred = x - mean
    _, vectors = np.linalg.eigh(np.einsum("ni,nj->ij", centred, centred))
    basis = vectors[:, -rank:]
    coefficients = np.einsum("ni,ik->nk", centred, basis)
    return np.asarray(mean + np.einsum("nk,ik->ni", coefficients, basis), np.float64)
