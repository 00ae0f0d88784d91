"""Silence around speech and inside it.

How much silence a clip starts and ends with tells the classes apart in public corpora (Müller et
al. 2021, "Speech is silver, silence is golden"), and many platforms cut it.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from loradar.audio.augmentation.effects import Effect, Range, Samples
from loradar.audio.windows import tile_repeat

_FRAME_S = 0.01


class Trim(Effect):
    """Silence is cut down to a length drawn from ``keep_s``; the length of the clip stays.

    Silence is what lies ``threshold_db`` or more below the loudest 10 ms. ``ends`` cuts before and
    after the speech, ``pauses`` between. What is left repeats until the clip is as long as before.
    """

    effect_name: ClassVar[str] = "trim"

    threshold_db: Range = (30.0, 45.0)
    keep_s: Range = (0.0, 0.2)
    places: tuple[Literal["ends", "pauses"], ...] = Field(("ends",), min_length=1)

    def apply(self, samples: Samples, sample_rate: int, rng: np.random.Generator) -> Samples:
        """Return ``samples`` [T] with less silence."""
        threshold, keep = rng.uniform(*self.threshold_db), rng.uniform(*self.keep_s)
        size = max(1, round(_FRAME_S * sample_rate))
        loud = _loud(samples, size, threshold)
        if not loud.any():
            return samples.copy()
        kept = np.ones(len(loud), bool)
        for start, end in _runs(~loud):
            ends = (start == 0) + (end == len(loud))
            spare = (end - start) - round(keep / _FRAME_S)
            if spare <= 0 or ("ends" if ends else "pauses") not in self.places:
                continue
            # At the ends what is next to the speech stays; a pause loses its middle.
            first = (
                start if start == 0 else end - spare if ends else start + (end - start - spare) // 2
            )
            kept[first : first + spare] = False
        result = samples[np.repeat(kept, size)[: len(samples)]]
        return tile_repeat(result, len(samples)) if len(result) else samples.copy()


def _loud(samples: Samples, size: int, threshold_db: float) -> NDArray[np.bool_]:
    """Whether each frame [ceil(T / size)] lies within ``threshold_db`` of the loudest."""
    padded = np.pad(samples.astype(np.float64), (0, -len(samples) % size))
    power = np.mean(padded.reshape(-1, size) ** 2, axis=1)
    most = power.max(initial=0.0)
    return np.asarray((power > most * 10.0 ** (-threshold_db / 10.0)) & (most > 0), np.bool_)


def _runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return (start, end) of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]
