"""What a recording sounds like from moment to moment, whatever is said: voice, microphone, room.

Two things of each half second: the mean spectrum of what is loud, without its level, and that of
the quiet in between. Speech from elsewhere spliced into a recording differs in both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loradar.audio.decoders import FloatArray
from loradar.audio.frames import BIN_HZ, HOP_S, Frames

BANDS = 32
#: Frames of a moment: 0.512 s.
MOMENT = 32
#: Frames below this quantile of the level of some seconds are not loud.
LOUD = 0.1
#: Quietest frames of a moment, and quietest moments of a window, that are taken for what is quiet.
QUIET_FRAMES, QUIET_MOMENTS = 3, 2
#: Quiet further below the loud than this is as quiet as it gets, in dB.
DEEPEST = 70.0
_BAND_HZ = (80.0, 7_000.0)


def _edges() -> NDArray[np.int64]:
    """First bin of each band, and the end: evenly spaced in mel."""
    low, high = (2_595.0 * np.log10(1.0 + hz / 700.0) for hz in _BAND_HZ)
    hertz = 700.0 * (10.0 ** (np.linspace(low, high, BANDS + 1) / 2_595.0) - 1.0)
    return np.rint(hertz / BIN_HZ).astype(np.int64)


_EDGES = _edges()


@dataclass(frozen=True)
class Moments:
    """Spectra of the moments of a piece of a recording, in dB.

    Attributes
    ----------
    loud : ndarray of float32, [M, 32]
        Sum over the loud frames.
    count : ndarray of float32, [M]
        How many these are.
    quiet : ndarray of float32, [M, 32]
        Mean of the quietest frames.
    """

    loud: FloatArray
    count: FloatArray
    quiet: FloatArray


def moments(frames: Frames, length: int) -> Moments:
    """Sum up the frames of some seconds.

    Parameters
    ----------
    frames : Frames
        One frame or more.
    length : int
        Frames that there would be without the end of the piece: the last one is repeated.

    Returns
    -------
    Moments
        M = length / `MOMENT`, rounded up.
    """
    sums = np.add.reduceat(frames.power[:, : _EDGES[-1]], _EDGES[:-1], axis=1)
    bands = 10.0 * np.log10(sums / np.diff(_EDGES) + np.float32(1e-9))
    rows = np.minimum(np.arange(-(-length // MOMENT) * MOMENT), len(bands) - 1)
    level = frames.level[rows].reshape(-1, MOMENT)
    bands = bands[rows].reshape(-1, MOMENT, BANDS)
    loud = (level >= np.quantile(frames.level, LOUD)).astype(np.float32)
    quietest = np.argsort(level, axis=1)[:, :QUIET_FRAMES]
    return Moments(
        loud=np.einsum("mfb,mf->mb", bands, loud).astype(np.float32),
        count=loud.sum(axis=1),
        quiet=np.take_along_axis(bands, quietest[:, :, None], axis=1).mean(axis=1),
    )


def together(parts: list[Moments]) -> Moments:
    """Join the moments of pieces that follow each other."""
    if not parts:
        nothing = np.zeros((0, BANDS), np.float32)
        return Moments(nothing, np.zeros(0, np.float32), nothing)
    return Moments(
        loud=np.concatenate([part.loud for part in parts]),
        count=np.concatenate([part.count for part in parts]),
        quiet=np.concatenate([part.quiet for part in parts]),
    )


def timbre(found: Moments, start: float, end: float) -> FloatArray:
    """Describe the sound between two times.

    Parameters
    ----------
    found : Moments
        Of the whole recording.
    start, end : float
        In s; the moments whose middle lies between count, or else the nearest one.

    Returns
    -------
    ndarray of float32, [64]
        In dB: the loud spectrum without its mean, then the quiet one relative to that mean. Zeros
        of a recording without any moment.
    """
    if not len(found.count):
        return np.zeros(2 * BANDS, np.float32)
    step = MOMENT * HOP_S
    first = int(np.clip(np.ceil(start / step - 0.5), 0, len(found.count) - 1))
    last = max(int(np.ceil(end / step - 0.5)), first + 1)
    loud = found.loud[first:last].sum(axis=0) / max(float(found.count[first:last].sum()), 1.0)
    quiet = found.quiet[first:last]
    order = np.argsort(quiet.mean(axis=1))[:QUIET_MOMENTS]
    mean = float(loud.mean())
    floor = np.maximum(quiet[order].mean(axis=0) - mean, -DEEPEST)
    return np.concatenate([loud - mean, floor]).astype(np.float32)
