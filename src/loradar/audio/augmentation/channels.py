"""Channels a recording passes through: noise, filters, rooms, companding, gain.

They happen to human and machine-made speech alike, so they teach a detector what to ignore.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy import fft, signal

from loradar.audio.augmentation.effects import Effect, Range, Samples, rms

Colour = Literal["white", "pink", "brown", "blue", "random"]
_SLOPES: dict[str, float] = {"white": 0.0, "pink": -1.0, "brown": -2.0, "blue": 1.0}


class Noise(Effect):
    """Stationary noise at a signal-to-noise ratio drawn from ``snr_db``.

    ``colours`` are drawn from evenly; ``random`` has a power slope of f^a, a in [-2, 1].
    """

    effect_name: ClassVar[str] = "noise"

    snr_db: Range = (10.0, 40.0)
    colours: tuple[Colour, ...] = Field(("white", "pink", "random"), min_length=1)

    def apply(self, samples: Samples, sample_rate: int, rng: np.random.Generator) -> Samples:
        """Return ``samples`` [T] with noise."""
        colour = self.colours[int(rng.integers(len(self.colours)))]
        slope = rng.uniform(-2.0, 1.0) if colour == "random" else _SLOPES[colour]
        noise = coloured_noise(len(samples), slope, rng)
        level = rms(samples) * 10.0 ** (-rng.uniform(*self.snr_db) / 20.0)
        return samples + np.float32(level) * noise


class RandomFilter(Effect):
    """A gentle equaliser: a gain curve that wanders within ``gain_db`` over ``points`` bands."""

    effect_name: ClassVar[str] = "filter"

    gain_db: Range = (-6.0, 6.0)
    points: int = Field(6, ge=2, le=32)
    taps: int = Field(255, ge=15, le=4095)

    def apply(self, samples: Samples, sample_rate: int, rng: np.random.Generator) -> Samples:
        """Return ``samples`` [T] filtered with zero delay and brought back to their level."""
        # Points lie evenly on a logarithmic axis, as hearing and loudspeakers do.
        places = np.geomspace(60.0, sample_rate / 2, self.points)
        gains = rng.uniform(*self.gain_db, self.points)
        axis = np.linspace(0.0, sample_rate / 2, self.taps // 2 + 1)
        curve = 10.0 ** (np.interp(np.log(np.maximum(axis, 60.0)), np.log(places), gains) / 20.0)
        return _same_level(_convolved(samples, _linear_phase(curve, self.taps | 1)), samples)


class LowPass(Effect):
    """A steep low-pass at a frequency drawn from ``cutoff_hz``, as narrow-band links have."""

    effect_name: ClassVar[str] = "low_pass"

    cutoff_hz: Range = (3000.0, 7500.0)
    taps: int = Field(129, ge=15, le=4095)

    def apply(self, samples: Samples, sample_rate: int, rng: np.random.Generator) -> Samples:
        """Return ``samples`` [T] without what lies above the cutoff; no delay."""
        cutoff = min(rng.uniform(*self.cutoff_hz), 0.49 * sample_rate)
        return _convolved(samples, signal.firwin(self.taps | 1, cutoff, fs=sample_rate))


class Room(Effect):
    """A room: direct sound plus noise that decays by 60 dB in ``rt60_s`` seconds.

    ``direct_to_reverberant_db`` is the level of the direct sound over the rest.
    """

    effect_name: ClassVar[str] = "room"

    rt60_s: Range = (0.1, 0.8)
    direct_to_reverberant_db: Range = (0.0, 15.0)

    def apply(self, samples: Samples, sample_rate: int, rng: np.random.Generator) -> Samples:
        """Return ``samples`` [T] in the room, direct sound in place, at the same level."""
        rt60 = rng.uniform(*self.rt60_s)
        ratio_db = rng.uniform(*self.direct_to_reverberant_db)
        response = room_response(sample_rate, rt60, ratio_db, rng)
        size = fft.next_fast_len(len(samples) + len(response) - 1, real=True)
        spectrum = fft.rfft(samples, size) * fft.rfft(response, size)
        wet = fft.irfft(spectrum, size)[: len(samples)].astype(np.float32)
        return _same_level(wet, samples)


class Companding(Effect):
    """Eight-bit logarithmic quantisation and back (ITU-T G.711 curves, in continuous form)."""

    effect_name: ClassVar[str] = "companding"

    laws: tuple[Literal["mu", "a"], ...] = Field(("mu", "a"), min_length=1)

    def apply(self, samples: Samples, sample_rate: int, rng: np.random.Generator) -> Samples:
        """Return ``samples`` [T] after the round trip; louder than 1 is scaled, not clipped."""
        law = self.laws[int(rng.integers(len(self.laws)))]
        peak = max(1.0, float(np.abs(samples).max(initial=0.0)))
        encode, decode = (_mu_encode, _mu_decode) if law == "mu" else (_a_encode, _a_decode)
        codes = np.round(encode(samples / np.float32(peak)) * np.float32(127.5) - np.float32(0.5))
        return decode((codes + np.float32(0.5)) / np.float32(127.5)) * np.float32(peak)


class Gain(Effect):
    """A level change drawn from ``gain_db``; nothing is clipped."""

    effect_name: ClassVar[str] = "gain"

    gain_db: Range = (-12.0, 6.0)

    def apply(self, samples: Samples, sample_rate: int, rng: np.random.Generator) -> Samples:
        """Return ``samples`` [T] scaled."""
        return samples * np.float32(10.0 ** (rng.uniform(*self.gain_db) / 20.0))


def coloured_noise(length: int, slope: float, rng: np.random.Generator) -> Samples:
    """Return noise [length] of unit RMS whose power goes as frequency to the ``slope``."""
    size = fft.next_fast_len(length, real=True)
    white = rng.standard_normal(size, dtype=np.float32)
    if slope:
        spectrum = fft.rfft(white)
        # Flat below a thousandth of the band: steep noise would else be one slow wave.
        axis = np.maximum(np.arange(len(spectrum)), len(spectrum) / 1000)
        white = fft.irfft(spectrum * (axis ** (slope / 2)).astype(np.float32), size)
    noise = white[:length].astype(np.float32)
    return noise / np.float32(max(rms(noise), 1e-12))


def room_response(
    sample_rate: int, rt60_s: float, direct_to_reverberant_db: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return an impulse response [n]: 1 at 0, then exponentially decaying noise after a gap."""
    gap = int(rng.uniform(0.002, 0.012) * sample_rate)  # first reflection, 0.7 to 4 m of detour
    length = max(int(rt60_s * sample_rate), 2)
    decay = 10.0 ** (-3.0 * np.arange(length) / length)
    tail = rng.standard_normal(length) * decay
    tail *= 10.0 ** (-direct_to_reverberant_db / 20.0) / max(float(np.sqrt(np.sum(tail**2))), 1e-12)
    return np.concatenate([[1.0], np.zeros(gap), tail]).astype(np.float32)


def _linear_phase(curve: NDArray[np.float64], taps: int) -> NDArray[np.float64]:
    """Taps [odd] of a zero-phase filter whose gain follows ``curve`` from 0 Hz to Nyquist."""
    response = np.fft.irfft(curve, 2 * (len(curve) - 1))
    centred = np.roll(response, len(response) // 2)
    middle, half = len(response) // 2, min(taps // 2, len(response) // 2 - 1)
    kept = centred[middle - half : middle + half + 1]
    return kept * np.hanning(len(kept) + 2)[1:-1]


def _convolved(samples: Samples, taps: NDArray[Any]) -> Samples:
    """Convolve with centred odd ``taps``, length kept (oaconvolve's "same" goes by the longer)."""
    half = len(taps) // 2
    full = signal.oaconvolve(samples, taps.astype(np.float32))
    return np.asarray(full[half : half + len(samples)], np.float32)


def _same_level(changed: Samples, original: Samples) -> Samples:
    level = rms(changed)
    return changed * np.float32(rms(original) / level) if level > 0 else changed


def _mu_encode(x: Samples) -> Samples:
    coded: Samples = np.copysign(np.log1p(255 * np.abs(x)) / np.log(256.0), x).astype(np.float32)
    return coded


def _mu_decode(y: Samples) -> Samples:
    decoded: Samples = np.copysign(np.expm1(np.abs(y) * np.log(256.0)) / 255, y).astype(np.float32)
    return decoded


_A = 87.6
_A_SCALE = 1 + float(np.log(_A))


def _a_encode(x: Samples) -> Samples:
    size = np.abs(x)
    logarithmic = 1 + np.log(_A * np.maximum(size, 1 / _A))
    coded = np.where(size < 1 / _A, _A * size, logarithmic) / _A_SCALE
    return np.copysign(coded, x).astype(np.float32)


def _a_decode(y: Samples) -> Samples:
    size = np.abs(y) * _A_SCALE
    decoded = np.where(size < 1, size / _A, np.exp(np.maximum(size, 1) - 1) / _A)
    return np.copysign(decoded, y).astype(np.float32)
