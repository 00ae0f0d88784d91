"""Inputs that no answer fits: too short, silent."""

from __future__ import annotations

import numpy as np

from loradar.audio.reading import SAMPLE_RATE

MIN_SECONDS = 0.5
SILENCE_DBFS = -60.0


def reasons_against(samples: np.ndarray) -> list[str]:
    """Say why a verdict on this clip would mean nothing.

    Parameters
    ----------
    samples : ndarray of float32, [T]
        16 kHz mono in [-1, 1].

    Returns
    -------
    list of str
        ``too_short`` (under 0.5 s), ``silence`` (the loudest 50 ms stay below -60 dBFS);
        empty when nothing speaks against it.
    """
    reasons = []
    if len(samples) < MIN_SECONDS * SAMPLE_RATE:
        reasons.append("too_short")
    if _loudest_dbfs(samples) < SILENCE_DBFS:
        reasons.append("silence")
    return reasons


def _loudest_dbfs(samples: np.ndarray) -> float:
    frame = SAMPLE_RATE // 20
    if len(samples) == 0:
        return -np.inf
    centred = samples.astype(np.float64) - samples.mean(dtype=np.float64)
    padded = np.pad(centred, (0, -len(centred) % frame)).reshape(-1, frame)
    power = float((padded**2).mean(axis=1).max())
    return 10 * np.log10(power) if power > 0 else -np.inf
