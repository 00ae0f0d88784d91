"""Samples as users hold them to what detectors read: float32, 16 kHz."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import soxr

from loradar.audio.reading import MAX_CHANNELS, RATES, SAMPLE_RATE, check_samples
from loradar.errors import InputError

if TYPE_CHECKING:
    import torch

    Samples = np.ndarray | torch.Tensor

#: Full scale of integer samples, and what stands for silence.
_SCALES = {"int16": (2**15, 0), "int32": (2**31, 0), "int8": (2**7, 0), "uint8": (2**7, 2**7)}


def as_columns(samples: Samples, name: str = "samples") -> np.ndarray:
    """Return samples as float32 [T, channels], at the rate they have.

    Parameters
    ----------
    samples : ndarray or Tensor, [T], [T, channels] or [channels, T]
        Float, or integers of full scale (int8, int16, int32, uint8). The shorter of two axes is
        that of the channels.
    name : str
        What errors call them.

    Raises
    ------
    InputError
        They are empty, of another shape or type, not finite, or far outside -1 to 1.

    Examples
    --------
    >>> as_columns(np.array([[0, 16384, -32768]], np.int16)).ravel().tolist()
    [0.0, 0.5, -1.0]
    """
    given: Any = samples
    if hasattr(given, "detach"):  # a tensor; numpy has no bfloat16
        given = given.detach().cpu()
        given = (given.float() if given.is_floating_point() else given).numpy()
    array = np.asarray(given)
    if array.ndim not in (1, 2) or array.size == 0:
        raise InputError(f"{name}: of shape {array.shape}; [T] or [channels, T], T >= 1, needed")
    if array.ndim == 1:
        array = array[:, None]
    elif array.shape[0] < array.shape[1]:
        array = array.T
    if array.shape[1] > MAX_CHANNELS:
        raise InputError(f"{name}: {array.shape[1]} channels, where up to {MAX_CHANNELS} can be")
    if array.dtype.kind == "f":
        columns = array.astype(np.float32)
    elif array.dtype.name in _SCALES:
        scale, middle = _SCALES[array.dtype.name]
        columns = ((array.astype(np.float64) - middle) / scale).astype(np.float32)
    else:
        raise InputError(
            f"{name}: of type {array.dtype}; give floats or one of {', '.join(_SCALES)}"
        )
    check_samples(columns, name)
    return columns


def check_rate(sample_rate: int | None, name: str = "samples") -> int:
    """Return the sample rate.

    Raises
    ------
    InputError
        There is none, or it is outside 1 to 768 kHz.
    """
    if sample_rate is None:
        raise InputError(f"{name}: give their sample_rate in hertz")
    low, high = RATES
    if not low <= sample_rate <= high:
        raise InputError(f"{name}: a sample rate of {sample_rate} Hz, where {low} to {high} can be")
    return int(sample_rate)


def at_rate(columns: np.ndarray, sample_rate: int) -> np.ndarray:
    """Resample [T, channels] to 16 kHz."""
    if sample_rate == SAMPLE_RATE:
        return columns
    resampled: np.ndarray = soxr.resample(columns, sample_rate, SAMPLE_RATE)
    return resampled
