"""WORLD's analysis, where pyworld is installed: pitch and spectral envelope."""

from __future__ import annotations

import importlib
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loradar.vocoders.analysis import Real, centred

HOP_S = 0.005


@dataclass(frozen=True)
class WorldFrames:
    """What WORLD sees in a clip.

    Attributes
    ----------
    f0 : ndarray of float64, [N]
        Hertz, 0 where a frame is not voiced; frame n stands at n * 5 ms.
    envelope : ndarray of float64, [N, bins]
        Power of the spectral envelope.
    """

    f0: Real
    envelope: Real


def missing() -> str | None:
    """Say in one line why WORLD cannot be had here; None when it can."""
    try:
        _pyworld()
    except ImportError as error:
        return (
            f"mel-cepstral distortion and F0: pyworld cannot be loaded ({error}); "
            "pip install 'loradar[copies]'"
        )
    return None


def world_frames(samples: NDArray[Any], sample_rate: int) -> WorldFrames:
    """Analyse a clip by DIO, StoneMask and CheapTrick, one frame each 5 ms.

    Morise et al., "WORLD: a vocoder-based high-quality speech synthesis system", 2016.

    Parameters
    ----------
    samples : ndarray, [T]
        A clip.
    sample_rate : int
        Hertz.
    """
    pyworld = _pyworld()
    x = np.ascontiguousarray(centred(samples))
    rough, times = pyworld.dio(x, sample_rate, frame_period=1000 * HOP_S)
    f0 = pyworld.stonemask(x, rough, times, sample_rate)
    return WorldFrames(f0, pyworld.cheaptrick(x, f0, times, sample_rate))


def _pyworld() -> Any:
    with warnings.catch_warnings():
        # pyworld imports pkg_resources, which warns that it is on its way out.
        warnings.simplefilter("ignore")
        return importlib.import_module("pyworld")
