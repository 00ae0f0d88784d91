"""Links that a recording travels over: codecs, and the telephone."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
import soxr
from pydantic import AfterValidator, Field
from scipy import signal

from loradar.audio.augmentation.channels import Companding
from loradar.audio.augmentation.codecs import CODECS, available_codecs, transcode
from loradar.audio.augmentation.effects import Effect, Range, Samples

_TELEPHONE_RATE = 8_000


def _known(names: tuple[str, ...]) -> tuple[str, ...]:
    unknown = [name for name in names if name not in CODECS]
    if unknown:
        raise ValueError(f"no codec is called {unknown[0]!r}; there are {', '.join(CODECS)}")
    if not set(names) & set(available_codecs()):
        lacks = "; ".join(f"{name}: {CODECS[name].missing()}" for name in names)
        raise ValueError(f"no codec asked for is here ({lacks})")
    return names


class Codec(Effect):
    """A lossy codec and back, its rate and bit rate drawn from `CODECS`.

    ``codecs`` are drawn from evenly. Those that this build lacks are left out of the draw
    (`available_codecs` lists what is there).
    """

    effect_name: ClassVar[str] = "codec"

    codecs: Annotated[tuple[str, ...], AfterValidator(_known)] = Field(tuple(CODECS), min_length=1)

    def apply(self, samples: Samples, sample_rate: int, rng: np.random.Generator) -> Samples:
        """Return ``samples`` [T] as the codec leaves them, its delay taken out."""
        there = [name for name in self.codecs if name in available_codecs()]
        name = there[int(rng.integers(len(there)))]
        modes = CODECS[name].modes
        rate, levels = modes[int(rng.integers(len(modes)))]
        level = levels[int(rng.integers(len(levels)))]
        return transcode(samples, sample_rate, name, rate, level)


class Telephone(Effect):
    """An analogue line into a digital exchange: 300 to 3,400 Hz at 8 kHz, G.711 (ITU-T)."""

    effect_name: ClassVar[str] = "telephone"

    low_hz: Range = (200.0, 400.0)
    high_hz: Range = (3000.0, 3600.0)
    laws: tuple[Literal["mu", "a"], ...] = Field(("mu", "a"), min_length=1)
    taps: int = Field(129, ge=15, le=4095)

    def apply(self, samples: Samples, sample_rate: int, rng: np.random.Generator) -> Samples:
        """Return ``samples`` [T] over the telephone, without delay."""
        low = min(rng.uniform(*self.low_hz), 0.4 * _TELEPHONE_RATE)
        high = float(np.clip(rng.uniform(*self.high_hz), low + 100.0, 0.48 * _TELEPHONE_RATE))
        taps = signal.firwin(self.taps | 1, (low, high), pass_zero=False, fs=_TELEPHONE_RATE)
        narrow = soxr.resample(samples, sample_rate, _TELEPHONE_RATE)
        half = len(taps) // 2
        line = signal.oaconvolve(narrow, taps.astype(np.float32))[half : half + len(narrow)]
        coded = Companding(laws=self.laws).apply(line.astype(np.float32), _TELEPHONE_RATE, rng)
        wide = soxr.resample(coded, _TELEPHONE_RATE, sample_rate)[: len(samples)]
        result = np.zeros(len(samples), np.float32)
        result[: len(wide)] = wide
        return result
