"""Playing a recording faster or slower."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
import soxr
from pydantic import AfterValidator

from loradar.audio.augmentation.effects import Effect, Range, Samples
from loradar.audio.windows import tile_repeat


def _playable(factor: tuple[float, float]) -> tuple[float, float]:
    if not 0.5 <= factor[0] <= factor[1] <= 2:
        raise ValueError("speeds lie between 0.5 and 2")
    return factor


class Speed(Effect):
    """Speed perturbation: tempo, pitch and formants by one factor (Ko et al. 2015).

    ``factor`` above 1 is faster and higher. The length stays: what is too long is cut, what is too
    short repeats.
    """

    effect_name: ClassVar[str] = "speed"

    factor: Annotated[Range, AfterValidator(_playable)] = (0.9, 1.1)

    def apply(self, samples: Samples, sample_rate: int, rng: np.random.Generator) -> Samples:
        """Return ``samples`` [T] played at another speed."""
        factor = rng.uniform(*self.factor)
        played: Samples = soxr.resample(samples, sample_rate * factor, sample_rate)
        if not len(played):  # the resampler leaves nothing of a sample or two
            return samples.copy()
        return tile_repeat(played, max(len(played), len(samples)))[: len(samples)]
