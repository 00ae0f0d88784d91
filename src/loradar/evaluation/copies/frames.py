"""Which frames of a clip hold speech."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from loradar.vocoders.analysis import centred, frames_of

SPEECH_DB = 35.0
WINDOW_S = 0.025

Mask = NDArray[np.bool_]


def speech_frames(samples: NDArray[Any], sample_rate: int, hop_s: float) -> Mask:
    """Mark the frames whose energy lies within 35 dB of the loudest frame's.

    Parameters
    ----------
    samples : ndarray, [T]
        The source. Copies are judged on the frames of their source.
    sample_rate : int
        Hertz.
    hop_s : float
        Seconds between frames; frame n (25 ms long) has its middle at n hop_s.

    Returns
    -------
    ndarray of bool, [N]
        ``N = ceil(T / hop) + 1``; all False for a clip without sound.
    """
    size = 2 * round(WINDOW_S * sample_rate / 2)
    frames = frames_of(centred(samples), size, round(hop_s * sample_rate))
    energy = np.einsum("nt,nt->n", frames, frames)
    loudest = float(energy.max(initial=0.0))
    if loudest <= 0:
        return np.zeros(len(energy), bool)
    return np.asarray(energy > loudest * 10 ** (-SPEECH_DB / 10), bool)


def speech_seconds(samples: NDArray[Any], sample_rate: int) -> float:
    """Return how many seconds of a clip `speech_frames` marks."""
    hop_s = 0.01
    return float(speech_frames(samples, sample_rate, hop_s).sum() * hop_s)
