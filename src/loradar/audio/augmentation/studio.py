"""What recorders, phones and broadcasters do to a voice: noise suppression, compression."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field
from scipy import ndimage, signal

from loradar.audio.augmentation.effects import Effect, Range, Samples, rms

_SEGMENT, _OVERLAP = 0.032, 4  # seconds of a transform; transforms that cover a sample
_QUIET = 0.15  # share of the frames that are taken for noise alone
_QUIETER = 1.6  # the mean of noise over what its quietest frames hold, smoothed as here


class Suppression(Effect):
    """Noise suppression by spectral subtraction (Boll 1979; Berouti et al. 1979).

    The noise in each band is what its quietest frames hold. Bands are attenuated by ``depth_db`` at
    most; ``excess`` times the noise is subtracted.
    """

    effect_name: ClassVar[str] = "suppression"

    depth_db: Range = (6.0, 24.0)
    excess: Range = (1.0, 3.0)

    def apply(self, samples: Samples, sample_rate: int, rng: np.random.Generator) -> Samples:
        """Return ``samples`` [T] with less of what is steady in them."""
        depth, excess = rng.uniform(*self.depth_db), rng.uniform(*self.excess)
        size = 2 * (int(_SEGMENT * sample_rate) // 2)
        if len(samples) < size:
            return np.float32(10 ** (-depth / 20)) * samples  # too short to know noise from speech
        hop = size // _OVERLAP
        _, _, spectrum = signal.stft(samples, nperseg=size, noverlap=size - hop)
        # Smoothed: gains that jump from bin to bin would ring ("musical noise").
        power = ndimage.uniform_filter(np.abs(spectrum) ** 2, (3, 5), mode="nearest")
        count = max(1, round(_QUIET * power.shape[1]))
        noise = np.partition(power, count - 1, axis=1)[:, :count].mean(1, keepdims=True)
        kept = 1 - _QUIETER * excess * noise / np.maximum(power, 1e-20)
        gain = np.sqrt(np.maximum(kept, 10 ** (-depth / 10)))
        _, clean = signal.istft(spectrum * gain, nperseg=size, noverlap=size - hop)
        changed: Samples = clean[: len(samples)].astype(np.float32)
        return changed


class Compression(Effect):
    """Dynamic range compression: what is louder than a threshold rises by less.

    ``threshold_db`` is relative to the clip's level; ``ratio`` is of decibels in to decibels out;
    ``time_s`` is the time constant of the loudness that steers it. The level stays.
    """

    effect_name: ClassVar[str] = "compression"

    threshold_db: Range = (-20.0, 0.0)
    ratio: Range = (1.5, 6.0)
    time_s: Range = (0.005, 0.1)
    floor_db: float = Field(-60.0, lt=0, description="loudness below which nothing is measured")

    def apply(self, samples: Samples, sample_rate: int, rng: np.random.Generator) -> Samples:
        """Return ``samples`` [T], loud and soft nearer to one another."""
        threshold = rng.uniform(*self.threshold_db)
        ratio, time = rng.uniform(*self.ratio), rng.uniform(*self.time_s)
        level = rms(samples)
        if level == 0:
            return samples.copy()
        keep = np.exp(-1 / (time * sample_rate))
        power = signal.lfilter([1 - keep], [1, -keep], np.square(samples, dtype=np.float64))
        loudness = 10 * np.log10(np.maximum(power / level**2, 10 ** (self.floor_db / 10)))
        gain = 10 ** ((1 / ratio - 1) * np.maximum(loudness - threshold, 0) / 20)
        changed = samples * gain
        return (changed * (level / rms(changed))).astype(np.float32)
