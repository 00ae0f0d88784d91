"""Classical vocoders that turn real speech into machine-made copies.

Each is a pure function ``(samples, sample_rate, rng) -> samples`` of the same length and RMS.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from loradar.vocoders.griffin_lim import mel_griffin_lim
from loradar.vocoders.lpc import lpc_pulse, lpc_quantised
from loradar.vocoders.phase import phase_randomised, phase_vocoder
from loradar.vocoders.sinusoidal import sinusoidal
from loradar.vocoders.world_like import world_like


class Vocoder(Protocol):
    """A function that copies speech by way of a poorer representation."""

    def __call__(
        self, samples: NDArray[Any], sample_rate: int, rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """Return a copy [T] of ``samples`` [T], with the same RMS."""
        ...


VOCODERS: dict[str, Vocoder] = {
    "mel_griffin_lim": mel_griffin_lim,
    "lpc_pulse": lpc_pulse,
    "lpc_quantised": lpc_quantised,
    "sinusoidal": sinusoidal,
    "phase_randomised": phase_randomised,
    "phase_vocoder": phase_vocoder,
    "world_like": world_like,
}

__all__ = ["VOCODERS", "Vocoder", *VOCODERS]
