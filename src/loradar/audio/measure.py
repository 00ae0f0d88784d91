"""One look at a file: what is in it that has nothing to do with what is said."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loradar.audio.archives import is_clip
from loradar.audio.decoders import FloatArray
from loradar.audio.reading import load_audio, probe
from loradar.errors import InputError

BANDS = 48
BAND_HZ = (80.0, 7_000.0)
SPECTRUM_S = 30.0  # the middle of longer clips speaks for the whole
_EDGE_DB = 70.0  # below the strongest bin, nothing of the signal is left
_SILENCE_DB = 40.0  # below the loudest frame
_FRAME_S = 0.01
_FLOOR = 1e-12


@dataclass(frozen=True)
class Measured:
    """What a file holds.

    Attributes
    ----------
    path : str
        The file.
    error : str
        Why it cannot be read; everything else is empty then.
    digest : str
        Of the decoded samples, 16 bits: equal for equal audio in whatever lossless container.
    sample_rate, channels : int
        As stored.
    kind : str
        Container and codec, for instance ``WAV PCM_16``.
    seconds : float
        Duration.
    level_db, peak_db : float
        RMS and peak in dB of full scale.
    dc : float
        Mean of the samples; its size is what counts.
    zeros : float
        Share of samples that are exactly 0.
    edge_hz : float
        Highest frequency with anything in it (70 dB below the strongest).
    lead_s, trail_s : float
        Silence before and after (40 dB below the loudest 10 ms).
    spectrum : ndarray of float64, [48]
        Long-term average spectrum, 80 to 7,000 Hz, in dB, without its mean.
    """

    path: str
    error: str = ""
    digest: str = ""
    sample_rate: int = 0
    channels: int = 0
    kind: str = ""
    seconds: float = 0.0
    level_db: float = 0.0
    peak_db: float = 0.0
    dc: float = 0.0
    zeros: float = 0.0
    edge_hz: float = 0.0
    lead_s: float = 0.0
    trail_s: float = 0.0
    spectrum: NDArray[np.float64] | None = None


def measure(path: str) -> Measured:
    """Decode a file at its own rate and measure it; what is wrong with it is in ``error``.

    Parameters
    ----------
    path : str
        Any format that `load_audio` reads.
    """
    try:
        if not is_clip(path):
            return Measured(path, error="missing")
        info = probe(path)
        samples = load_audio(path, info.sample_rate)
    except InputError as error:
        return Measured(path, error=str(error).removeprefix(f"{path}: "))
    rate = info.sample_rate
    exact = samples.astype(np.float64)
    frequencies, power = _average_power(exact, rate)
    lead, trail = _silences(exact - exact.mean(), rate)
    return Measured(
        path=path,
        digest=digest(samples, rate),
        sample_rate=rate,
        channels=info.channels,
        kind=f"{info.container} {info.codec}",
        seconds=len(samples) / rate,
        level_db=_decibels(float(np.mean(exact**2))),
        peak_db=_decibels(float(np.max(np.abs(exact))) ** 2),
        dc=float(exact.mean()),
        zeros=float(np.mean(samples == 0)),
        edge_hz=_edge(frequencies, power),
        lead_s=lead,
        trail_s=trail,
        spectrum=_bands(frequencies, power),
    )


def digest(samples: FloatArray, sample_rate: int) -> str:
    """Return a hash of samples [T] as 16-bit numbers, and of their rate."""
    words = np.clip(np.rint(samples * 32_768.0), -32_768, 32_767).astype("<i2")
    return hashlib.blake2b(words.tobytes() + str(sample_rate).encode(), digest_size=16).hexdigest()


def _decibels(power: float) -> float:
    return float(10.0 * np.log10(power + _FLOOR))


def _average_power(
    samples: NDArray[np.float64], rate: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean power spectrum of Hann frames of 32 ms, half overlapping."""
    size = max(16, round(0.032 * rate))
    spare = len(samples) - round(SPECTRUM_S * rate)
    if spare > 0:
        samples = samples[spare // 2 : len(samples) - (spare - spare // 2)]
    padded = np.pad(samples - samples.mean(), (0, max(0, size - len(samples))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[:: size // 2]
    power = np.mean(np.abs(np.fft.rfft(frames * np.hanning(size), axis=1)) ** 2, axis=0)
    return np.asarray(np.fft.rfftfreq(size, 1.0 / rate), np.float64), power


def _edge(frequencies: NDArray[np.float64], power: NDArray[np.float64]) -> float:
    loud = np.flatnonzero(power > power.max() * 10.0 ** (-_EDGE_DB / 10.0))
    return float(frequencies[loud[-1]]) if len(loud) else 0.0


def _bands(frequencies: NDArray[np.float64], power: NDArray[np.float64]) -> NDArray[np.float64]:
    centres = np.linspace(*BAND_HZ, BANDS)
    levels = np.interp(centres, frequencies, 10.0 * np.log10(power + _FLOOR))
    return np.asarray(levels - levels.mean(), np.float64)


def _silences(samples: NDArray[np.float64], rate: int) -> tuple[float, float]:
    """Seconds before the first and after the last frame that is not silent."""
    size = max(1, round(_FRAME_S * rate))
    count = max(1, len(samples) // size)
    whole = samples[: count * size] if len(samples) >= size else samples
    power = np.mean(whole.reshape(count, -1) ** 2, axis=1)
    loud = np.flatnonzero(power > power.max() * 10.0 ** (-_SILENCE_DB / 10.0))
    if not len(loud):
        return 0.0, 0.0
    return int(loud[0]) * size / rate, (count - 1 - int(loud[-1])) * size / rate
