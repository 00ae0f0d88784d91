"""Recordings made too loud."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from loradar.audio.augmentation.effects import Effect, Range, Samples


class Clipping(Effect):
    """An overdriven input: the loudest samples are held at a ceiling.

    ``percent`` is the share of samples that reach the ceiling. ``hard`` cuts there, as converters
    do; ``soft`` bends towards it (hyperbolic tangent), as analogue stages do. The level is left as
    it becomes.
    """

    effect_name: ClassVar[str] = "clipping"

    percent: Range = (0.1, 10.0)
    kinds: tuple[Literal["hard", "soft"], ...] = Field(("hard", "soft"), min_length=1)

    def apply(self, samples: Samples, sample_rate: int, rng: np.random.Generator) -> Samples:
        """Return ``samples`` [T] with nothing above the ceiling."""
        kind = self.kinds[int(rng.integers(len(self.kinds)))]
        share = np.clip(rng.uniform(*self.percent) / 100.0, 0.0, 1.0)
        ceiling = np.float32(np.quantile(np.abs(samples), 1.0 - share)) if samples.size else 0.0
        if ceiling <= 0.0:
            return samples.copy()
        if kind == "hard":
            return np.clip(samples, -ceiling, ceiling)
        bent: Samples = ceiling * np.tanh(samples / ceiling)
        return bent.astype(np.float32)
