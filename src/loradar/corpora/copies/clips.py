"""Source clips: reading, cutting, and refusing what holds no speech."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from loradar.audio.reading import SAMPLE_RATE, load_audio
from loradar.errors import InputError

Samples = NDArray[np.float32]

MIN_SECONDS = 0.5
MAX_SECONDS = 60.0  # of a clip copied whole
_SEARCHED_SECONDS = 600.0  # of a long recording, in which its best part is looked for
_FRAME = SAMPLE_RATE // 20
_SILENCE_DBFS = -60.0
_STEADY_DB = 1.0  # white noise varies by 0.7 dB, the slowest speech by some 10
_QUIETEST_DB = 40.0  # below the loudest frame: no part of an utterance
_MIN_ACTIVE_S = 0.25


def read_clip(path: Path | str, seconds: float | None) -> tuple[Samples, str]:
    """Read a clip as 16 kHz mono and check that something can be made of it.

    Parameters
    ----------
    path : Path or str
        Audio.
    seconds : float, optional
        Longest result; `MAX_SECONDS` when not given. A longer clip is cut to its most energetic
        part; of one beyond ten minutes, the first ten are looked at.

    Returns
    -------
    samples : ndarray of float32, [T]
    note : str
        That a clip was cut though nobody asked for it; else empty.

    Raises
    ------
    InputError
        It cannot be read, is too short, is silent or holds no speech.
    """
    samples = load_audio(path, duration_s=_SEARCHED_SECONDS)
    part = most_energetic(samples, round((seconds or MAX_SECONDS) * SAMPLE_RATE))
    reason = fault(part)
    if reason:
        raise InputError(f"{path}: {reason}")
    note = ""
    if seconds is None and len(part) < len(samples):
        note = f"{path}: longer than {MAX_SECONDS:g} s: its most energetic part is copied"
    return part, note


def most_energetic(samples: Samples, length: int) -> Samples:
    """Return the part of ``samples`` [T], of at most ``length`` samples, that has most energy.

    Parts begin at multiples of 10 ms.
    """
    if len(samples) <= length:
        return samples
    energy = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    starts = np.arange(0, len(samples) - length + 1, SAMPLE_RATE // 100)
    best = int(starts[np.argmax(energy[starts + length] - energy[starts])])
    return samples[best : best + length]


def fault(samples: Samples) -> str:
    """Say why nothing can be made of a clip; empty when all is well.

    Parameters
    ----------
    samples : ndarray of float32, [T]
        16 kHz.
    """
    seconds = len(samples) / SAMPLE_RATE
    if seconds < MIN_SECONDS:
        return f"too short ({seconds:.2f} s; copies need {MIN_SECONDS:g} s)"
    centred = samples.astype(np.float64) - samples.mean(dtype=np.float64)
    frames = centred[: len(centred) // _FRAME * _FRAME].reshape(-1, _FRAME)
    levels = 10.0 * np.log10(np.maximum(np.mean(frames**2, axis=1), 1e-12))
    loudest = float(levels.max())
    if loudest < _SILENCE_DBFS:
        return f"silent (never above {_SILENCE_DBFS:g} dBFS)"
    active = np.sum(levels > max(loudest - _QUIETEST_DB, _SILENCE_DBFS)) * _FRAME / SAMPLE_RATE
    if active < _MIN_ACTIVE_S:
        return f"no speech (only {active:.2f} s are not silent)"
    if np.percentile(levels, 95) - np.percentile(levels, 5) < _STEADY_DB:
        return "no speech (its level never changes: a tone or steady noise)"
    return ""
