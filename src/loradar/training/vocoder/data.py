"""Random segments of real speech, each a function of the seed and its position in the run."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from loradar.audio.reading import SAMPLE_RATE, load_audio
from loradar.audio.windows import tile_repeat
from loradar.corpora.manifest import Manifest
from loradar.vocoders.neural.level import gain_to_level

Progress = Callable[[int, int, str], None]

_GAIN_DB = 6.0  # segments are up to this much louder or quieter than the models' level


class SpeechStore:
    """Clips at one level in memory, as 16-bit samples.

    Parameters
    ----------
    clips : list of ndarray of float, [T]
        16 kHz speech; each is scaled to the level of `loradar.vocoders.neural.level`.
    """

    def __init__(self, clips: list[NDArray[np.float32]]) -> None:
        self.clips = [
            np.round(32767 * gain_to_level(clip) * clip.astype(np.float64)).astype(np.int16)
            for clip in clips
        ]
        ends = np.cumsum([len(clip) for clip in self.clips])
        self.shares = ends / ends[-1]

    @property
    def hours(self) -> float:
        """Speech held."""
        return sum(len(clip) for clip in self.clips) / SAMPLE_RATE / 3600

    def batch(self, seed: int, step: int, size: int, length: int) -> Tensor:
        """Return the segments [size, length] of a step; long clips are drawn more often."""
        rng = np.random.default_rng((seed, step))
        return torch.stack([self._segment(rng, length) for _ in range(size)])

    def _segment(self, rng: np.random.Generator, length: int) -> Tensor:
        clip = self.clips[int(np.searchsorted(self.shares, rng.random(), side="right"))]
        clip = tile_repeat(clip, max(len(clip), length))
        start = int(rng.integers(len(clip) - length + 1))
        samples = clip[start : start + length].astype(np.float32) / 32768
        gain = 10 ** (rng.uniform(-_GAIN_DB, _GAIN_DB) / 20)
        gain = min(gain, 0.99 / max(float(np.abs(samples).max()), 1e-4))
        return torch.from_numpy((gain * samples).astype(np.float32))


def read_speech(
    manifest: Manifest,
    split: str,
    *,
    hours: float,
    most: int | None = None,
    seed: int,
    progress: Progress,
) -> SpeechStore:
    """Read a random subset of a manifest's bona fide clips.

    Parameters
    ----------
    manifest : Manifest
        The clips.
    split : str
        ``train`` or ``dev``.
    hours : float
        Stop when this much speech is read.
    most : int, optional
        Stop at this many clips.
    seed : int
        Which clips.
    progress : callable
        Called with (done, total, what).

    Raises
    ------
    InputError
        The split has no bona fide clips, or one cannot be read.
    """
    paths = list(manifest.where({"split": split, "label": "bonafide"}).table["path"])
    order = np.random.default_rng(seed).permutation(len(paths))[:most]
    clips: list[NDArray[np.float32]] = []
    left = hours * 3600 * SAMPLE_RATE
    for done, place in enumerate(order, start=1):
        clips.append(load_audio(paths[place])[: int(left)])
        left -= len(clips[-1])
        progress(done, len(order), f"reading {split} clips")
        if left < 1:
            break
    return SpeechStore(clips)
