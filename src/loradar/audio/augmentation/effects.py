"""What every augmentation is: validated parameters and one function of samples."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict

Samples = NDArray[np.float32]


def _ordered(pair: tuple[float, float]) -> tuple[float, float]:
    if not pair[0] <= pair[1]:
        raise ValueError(f"a range runs from low to high, not from {pair[0]:g} to {pair[1]:g}")
    return pair


Range = Annotated[tuple[float, float], AfterValidator(_ordered)]


class Effect(BaseModel):
    """One augmentation: its parameters as fields, its work in `apply`.

    Every random choice is drawn from the generator given, so that equal generators give equal
    results.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    effect_name: ClassVar[str]

    @abstractmethod
    def apply(self, samples: Samples, sample_rate: int, rng: np.random.Generator) -> Samples:
        """Return a changed copy of ``samples`` [T], as long and finite."""


def rms(samples: NDArray[np.floating]) -> float:
    """Root mean square of ``samples``, computed in float64."""
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) if samples.size else 0.0
