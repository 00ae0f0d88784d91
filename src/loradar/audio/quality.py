"""What is in a recording besides words: speech, music, noise, band, clipping; as it comes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from loradar.audio.decoders import FloatArray
from loradar.audio.frames import BIN_HZ, HOP, HOP_S, RATE, Frames, analyse, speech_frames
from loradar.audio.music import activation
from loradar.audio.noise import signal_to_noise
from loradar.audio.streams import flat_tops
from loradar.audio.timbre import Moments, moments, timbre, together

#: Samples that are measured together: 4.1 s, the noise within them taken as steady.
CHUNK = 65_536
_LOUD = RATE // 20
_LOW = slice(round(300 / BIN_HZ), round(3_400 / BIN_HZ))
_HIGH = slice(round(4_300 / BIN_HZ), round(7_000 / BIN_HZ))


@dataclass(frozen=True)
class Chunk:
    """What `CHUNK` samples hold; the last of a clip may have from 1 to 2 * `CHUNK`.

    Attributes
    ----------
    samples : int
        How many.
    loudest_db : float
        Level of the loudest 50 ms, without DC, in dB of full scale.
    speech : ndarray of bool, [samples / 256]
        Which steps of 16 ms are speech.
    music : float
        See `loradar.audio.music.activation`.
    snr_db : float or None
        See `loradar.audio.noise.signal_to_noise`.
    low, high : float
        Power from 300 to 3,400 and from 4,300 to 7,000 Hz, per bin, while there is speech.
    sound : Moments
        What it sounds like, by the half second.
    """

    samples: int
    loudest_db: float
    speech: NDArray[np.bool_]
    music: float
    snr_db: float | None
    low: float
    high: float
    sound: Moments


@dataclass(frozen=True)
class Quality:
    """What a recording holds.

    Attributes
    ----------
    chunks : tuple of Chunk
        In order, without gaps.
    clipped : float
        Share of samples in flat tops (`loradar.audio.streams.flat_tops`).
    """

    chunks: tuple[Chunk, ...]
    clipped: float = 0.0

    @property
    def seconds(self) -> float:
        """Length in s."""
        return sum(chunk.samples for chunk in self.chunks) / RATE

    @property
    def loudest_db(self) -> float:
        """Level of the loudest 50 ms in dB of full scale; minus infinity without samples."""
        return max((chunk.loudest_db for chunk in self.chunks), default=-np.inf)

    @property
    def music(self) -> float:
        """Median over the time that is not silent of how much tones stand still."""
        heard = [chunk for chunk in self.chunks if chunk.loudest_db > -60]
        return _median([chunk.music for chunk in heard], [chunk.samples for chunk in heard])

    @property
    def snr_db(self) -> float | None:
        """Speech above noise, in dB: the median over chunks with speech; None without any."""
        found = [c.snr_db for c in self.chunks if c.snr_db is not None and c.speech.any()]
        return float(np.median(found)) if found else None

    @property
    def band_db(self) -> float | None:
        """Level per bin above 4,300 Hz against that of the telephone band; None without speech."""
        low, high = (sum(getattr(chunk, name) for chunk in self.chunks) for name in ("low", "high"))
        return float(10 * np.log10(high / low + 1e-12)) if low > 0 else None

    def speech_seconds(self, start: float = 0.0, end: float = np.inf) -> float:
        """Return how many seconds between ``start`` and ``end`` (in s) are speech."""
        steps = self._steps
        first, last = np.clip(np.rint(np.array([start, end]) / HOP_S), 0, len(steps) - 1).astype(
            int
        )
        return float(steps[last] - steps[first]) * HOP_S

    def music_between(self, start: float, end: float) -> float:
        """Return how much tones stand still between ``start`` and ``end`` (in s)."""
        ends = self._ends
        first = int(np.searchsorted(ends, start, side="right"))
        last = int(np.searchsorted(ends, end, side="left"))
        found = [chunk.music for chunk in self.chunks[first : last + 1]]
        return float(np.mean(found)) if found else 0.0

    def timbre_between(self, start: float, end: float) -> FloatArray:
        """Return what it sounds like between ``start`` and ``end`` (in s), [64]; see `timbre`."""
        return timbre(self._sound, start, end)

    @cached_property
    def _sound(self) -> Moments:
        return together([chunk.sound for chunk in self.chunks])

    @cached_property
    def _steps(self) -> NDArray[np.int64]:
        flags = [chunk.speech for chunk in self.chunks]
        counted = np.cumsum(np.concatenate(flags)) if flags else np.zeros(0)
        return np.concatenate([[0], counted]).astype(np.int64)

    @cached_property
    def _ends(self) -> NDArray[np.float64]:
        return np.cumsum([chunk.samples / RATE for chunk in self.chunks])


class QualityMeter:
    """Measures a recording that comes in pieces of any size.

    Examples
    --------
    >>> meter = QualityMeter()
    >>> meter.push(np.zeros(16_000, np.float32))
    >>> meter.close().seconds
    1.0
    """

    def __init__(self) -> None:
        self._kept: FloatArray = np.zeros(0, np.float32)
        self._chunks: list[Chunk] = []
        self._samples = 0
        self._flat = 0.0

    def push(self, samples: FloatArray, clipped: float = 0.0) -> None:
        """Take 16 kHz mono samples [n], of which the share ``clipped`` lies in flat tops."""
        self._samples += len(samples)
        self._flat += clipped * len(samples)
        self._kept = np.concatenate([self._kept, samples]) if len(self._kept) else samples
        while len(self._kept) >= 2 * CHUNK:
            self._chunks.append(_measure(self._kept[:CHUNK]))
            self._kept = self._kept[CHUNK:]

    def close(self) -> Quality:
        """Return what there was."""
        if len(self._kept):
            self._chunks.append(_measure(self._kept))
        return Quality(tuple(self._chunks), self._flat / max(self._samples, 1))


def measure_quality(samples: FloatArray) -> Quality:
    """Measure samples already in memory, [T], 16 kHz mono."""
    meter = QualityMeter()
    meter.push(samples, flat_tops(samples))
    return meter.close()


def _measure(samples: FloatArray) -> Chunk:
    # Hours of nothing pack into a small file, and are all alike.
    return _measure_sound(samples) if samples.any() else _nothing(len(samples))


@lru_cache(maxsize=4)
def _nothing(length: int) -> Chunk:
    return _measure_sound(np.zeros(length, np.float32))


def _measure_sound(samples: FloatArray) -> Chunk:
    frames = analyse(samples)
    speech = speech_frames(frames)
    low, high = _bands(frames, speech)
    steps = -(-len(samples) // HOP)
    return Chunk(
        samples=len(samples),
        loudest_db=_loudest(samples),
        # The last frames of a chunk would reach into the next.
        speech=np.resize(np.pad(speech, (0, 2), mode="edge"), steps),
        music=activation(frames.power),
        snr_db=signal_to_noise(samples),
        low=low,
        high=high,
        sound=moments(frames, steps),
    )


def _bands(frames: Frames, speech: NDArray[np.bool_]) -> tuple[float, float]:
    power = frames.power[speech]
    if not len(power):
        return 0.0, 0.0
    return float(power[:, _LOW].mean() * len(power)), float(power[:, _HIGH].mean() * len(power))


def _loudest(samples: FloatArray) -> float:
    centred = samples.astype(np.float64) - samples.mean(dtype=np.float64)
    padded = np.pad(centred, (0, -len(centred) % _LOUD)).reshape(-1, _LOUD)
    power = float((padded**2).mean(axis=1).max())
    return float(10 * np.log10(power)) if power > 0 else -np.inf


def _median(values: list[float], weights: list[int]) -> float:
    if not values:
        return 0.0
    order = np.argsort(values)
    reached = np.cumsum(np.asarray(weights)[order])
    return float(np.asarray(values)[order][np.searchsorted(reached, reached[-1] / 2)])
