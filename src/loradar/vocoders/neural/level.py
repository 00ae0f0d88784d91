"""The loudness that the models are trained at, and that clips are brought to for them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.06  # RMS


def gain_to_level(clip: NDArray[Any]) -> float:
    """Return the gain that brings a clip [T] to `LEVEL` RMS, less where its peak would exceed 1."""
    loud = float(np.sqrt(np.mean(np.square(clip, dtype=np.float64)))) if clip.size else 0.0
    peak = float(np.abs(clip).max(initial=0.0))
    return min(LEVEL / max(loud, 1e-6), 0.99 / max(peak, 1e-6))
