"""Conditions that a detector should survive: each changes both classes alike."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy import signal

from loradar.audio.augmentation.channels import Gain, Noise, Room
from loradar.audio.augmentation.codecs import transcode
from loradar.audio.augmentation.effects import Samples
from loradar.audio.augmentation.links import Telephone
from loradar.errors import ConfigError

Change = Callable[[Samples, int, np.random.Generator], Samples]

_TAPS = 2_047  # a transition of some 25 Hz at 16 kHz


def _highpass(samples: Samples, sample_rate: int, rng: np.random.Generator) -> Samples:
    taps = signal.firwin(_TAPS, 80.0, pass_zero=False, fs=sample_rate)
    half = _TAPS // 2
    filtered = signal.oaconvolve(samples.astype(np.float64), taps)[half : half + len(samples)]
    return filtered.astype(np.float32)


def _codec(name: str, rate: int, bits: int) -> Change:
    return lambda samples, sample_rate, rng: transcode(samples, sample_rate, name, rate, bits)


def _noise(snr_db: float) -> Change:
    return Noise.model_validate({"snr_db": (snr_db, snr_db)}).apply


#: 64 kbit/s each, at a rate of the codec's that allows it.
CONDITIONS: dict[str, Change] = {
    "clean": lambda samples, sample_rate, rng: samples,
    "highpass_80_hz": _highpass,
    "gain": Gain(gain_db=(-20.0, 6.0)).apply,
    "mp3_64k": _codec("mp3", 24_000, 64_000),
    "opus_64k": _codec("opus", 48_000, 64_000),
    "aac_64k": _codec("aac", 44_100, 64_000),
    "telephone": Telephone.model_validate({}).apply,
    "noise_20_db": _noise(20.0),
    "noise_10_db": _noise(10.0),
    # From afar: as much sound by way of the walls as straight from the mouth.
    "room": Room(rt60_s=(0.3, 0.7), direct_to_reverberant_db=(0.0, 0.0)).apply,
}


def choose_conditions(names: list[str]) -> list[str]:
    """Return the conditions asked for, ``clean`` first; ``all`` stands for every one.

    Raises
    ------
    ConfigError
        There is no such condition.
    """
    unknown = [name for name in names if name not in (*CONDITIONS, "all")]
    if unknown:
        raise ConfigError(
            f"no condition is called {unknown[0]!r}; there are {', '.join(CONDITIONS)} and all"
        )
    wanted = set(CONDITIONS) if "all" in names else {"clean", *names}
    return [name for name in CONDITIONS if name in wanted]


def under(condition: str, samples: Samples, sample_rate: int, path: str) -> Samples:
    """Return a clip under a condition.

    Parameters
    ----------
    condition : str
        A key of `CONDITIONS`.
    samples : ndarray of float32, [T]
        The clip.
    sample_rate : int
        Hertz.
    path : str
        The clip's file name draws its noise or gain, so that a run can be repeated anywhere.
    """
    name = f"{condition} {Path(path).name}".encode()
    seed = int.from_bytes(hashlib.sha256(name).digest()[:8], "little")
    return CONDITIONS[condition](samples, sample_rate, np.random.default_rng(seed))
