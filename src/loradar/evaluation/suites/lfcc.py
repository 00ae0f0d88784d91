"""Linear-frequency cepstral coefficients (LFCC), the classical features of anti-spoofing.

As in the ASVspoof 2019 baseline (Todisco et al., "ASVspoof 2019: future horizons in spoofed and
fake audio detection", Interspeech 2019; the features are those of Sahidullah, Kinnunen and Hanilci,
"A comparison of features for synthetic speech detection", Interspeech 2015): 20 ms windows, 512
points, 20 linearly spaced filters, 20 coefficients with deltas and double deltas. Two things are
this benchmark's: windows start every 10 ms, and clips are band-passed 80-7,000 Hz and brought to
unit variance, as for every other system, so that the filters share that band.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.fft import dct
from scipy.signal import get_window

from loradar.detector.config import FrontEndConfig
from loradar.detector.front_end import FrontEnd
from loradar.errors import InputError
from loradar.evaluation.det import FloatArray

SAMPLE_RATE = 16_000
BAND_HZ = (80.0, 7000.0)
WINDOW = 320  # 20 ms
HOP = 160  # 10 ms
POINTS = 512
FILTERS = 20
REACH = 3  # frames to either side that a delta is a slope over
SIZE = 3 * FILTERS
FLOOR = 1e-10


def lfcc(samples: ArrayLike, name: str = "clip") -> FloatArray:
    """Return a clip's linear-frequency cepstra with deltas and double deltas.

    Parameters
    ----------
    samples : array_like
        Shape ``[T]``, 16 kHz mono; shorter than a window (320) is padded with zeros.
    name : str
        For the message.

    Returns
    -------
    ndarray
        Shape ``[1 + (T - 320) // 160, 60]``: coefficients 0 to 19, their slopes a frame, and the
        slopes of those.

    Raises
    ------
    InputError
        When there are no samples.
    """
    signal = np.asarray(samples, dtype=np.float32)
    if signal.ndim != 1 or signal.size == 0:
        raise InputError(f"{name}: expected one channel of samples, found shape {signal.shape}")
    signal = np.pad(signal, (0, max(0, WINDOW - signal.size)))
    with torch.inference_mode():
        limited = _front_end()(torch.from_numpy(signal)[None])[0].double().numpy()
    frames = np.lib.stride_tricks.sliding_window_view(limited, WINDOW)[::HOP]
    power = np.abs(np.fft.rfft(frames * get_window("hamming", WINDOW), POINTS, axis=1)) ** 2
    static = dct(np.log(power @ filter_bank() + FLOOR), type=2, norm="ortho", axis=1)
    first = slopes(static)
    return np.concatenate([static, first, slopes(first)], axis=1)


def slopes(frames: FloatArray) -> FloatArray:
    """Return the slope of each column over seven frames, the ends repeated.

    Parameters
    ----------
    frames : ndarray
        Shape ``[N, D]``.

    Returns
    -------
    ndarray
        Shape ``[N, D]``: the least-squares slope over frames ``n - 3`` to ``n + 3``.
    """
    count = len(frames)
    padded = np.pad(frames, ((REACH, REACH), (0, 0)), mode="edge")
    steps = range(1, REACH + 1)
    rise = sum(k * (padded[REACH + k :][:count] - padded[REACH - k :][:count]) for k in steps)
    return np.asarray(rise / (2 * sum(k * k for k in steps)), dtype=np.float64)


@lru_cache(maxsize=1)
def filter_bank() -> FloatArray:
    """Return 20 triangular filters evenly spaced from 80 to 7,000 Hz, shape ``[257, 20]``."""
    corners = np.linspace(*BAND_HZ, FILTERS + 2)
    frequency = np.fft.rfftfreq(POINTS, 1 / SAMPLE_RATE)[:, None]
    width = corners[1] - corners[0]
    height = 1 - np.abs(frequency - corners[1:-1]) / width
    return np.asarray(np.maximum(0.0, height), dtype=np.float64)


@lru_cache(maxsize=1)
def _front_end() -> FrontEnd:
    return FrontEnd(FrontEndConfig(filter="bandpass", low_hz=BAND_HZ[0], high_hz=BAND_HZ[1]))
