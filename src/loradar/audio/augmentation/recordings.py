"""Recorded noise, music and room responses, from folders of one's own (MUSAN, OpenAIR, ...)."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
from pydantic import AfterValidator, Field
from scipy import fft

from loradar.audio.augmentation.effects import Effect, Range, Samples, rms
from loradar.audio.reading import AUDIO_SUFFIXES, load_audio, probe
from loradar.errors import LoradarError

_LONGEST_RESPONSE_S = 4.0
_BEFORE_S = 0.0025  # of a response before its peak: a loudspeaker's own ringing


@functools.cache
def audio_files(folder: str) -> tuple[str, ...]:
    """Return the audio files below a folder, in the order of their names; one may be a file.

    Raises
    ------
    ValueError
        There is no such folder, or no audio in it.
    """
    root = Path(folder)
    if root.is_file():
        return (str(root),)
    if not root.is_dir():
        raise ValueError(f"{folder}: no such file or folder")
    found = sorted(
        str(path)
        for path in root.rglob("*")
        if path.suffix.lower() in AUDIO_SUFFIXES and path.is_file()
    )
    if not found:
        raise ValueError(f"{folder}: no audio below this folder")
    return tuple(found)


def _with_audio(folder: str) -> str:
    audio_files(folder)
    return folder


Folder = Annotated[
    str, AfterValidator(_with_audio), Field(description="folder of audio, or a file")
]


class Background(Effect):
    """A stretch of a recording from ``folder`` under the clip, at a ratio drawn from ``snr_db``.

    Noise and music alike; each file is drawn as often as any other. One shorter than the clip
    repeats; a silent stretch changes nothing.
    """

    effect_name: ClassVar[str] = "background"

    folder: Folder
    snr_db: Range = (0.0, 20.0)

    def apply(self, samples: Samples, sample_rate: int, rng: np.random.Generator) -> Samples:
        """Return ``samples`` [T] with the recording added.

        Raises
        ------
        InputError
            A file cannot be read.
        """
        files = audio_files(self.folder)
        path = files[int(rng.integers(len(files)))]
        place, snr_db = rng.random(), rng.uniform(*self.snr_db)
        noise = _stretch(path, len(samples), place, sample_rate)
        loudness = rms(noise)
        if loudness == 0:
            return samples.copy()
        level = rms(samples) * 10.0 ** (-snr_db / 20.0) / loudness
        return samples + np.float32(level) * noise


class RecordedRoom(Effect):
    """A room by one of the impulse responses in ``folder``.

    The direct sound stays in place and the level as it was. Channels are averaged; responses end
    after 4 s.
    """

    effect_name: ClassVar[str] = "recorded_room"

    folder: Folder

    def apply(self, samples: Samples, sample_rate: int, rng: np.random.Generator) -> Samples:
        """Return ``samples`` [T] in the room.

        Raises
        ------
        InputError
            A file cannot be read.
        """
        files = audio_files(self.folder)
        response, direct = _response(files[int(rng.integers(len(files)))], sample_rate)
        size = fft.next_fast_len(len(samples) + len(response) - 1, real=True)
        wet = fft.irfft(fft.rfft(samples, size) * fft.rfft(response, size), size)
        wet = wet[direct : direct + len(samples)].astype(np.float32)
        level = rms(wet)
        return wet * np.float32(rms(samples) / level) if level > 0 else samples.copy()


def _stretch(path: str, length: int, place: float, sample_rate: int) -> Samples:
    """Read ``length`` samples of a file from a share ``place`` of where they may start."""
    seconds = _seconds(path)
    needed = length / sample_rate
    if seconds is None or seconds <= needed:
        whole = load_audio(path, sample_rate)
        start = int(place * len(whole))
        return np.resize(np.roll(whole, -start), length)
    # A little more, so that what the resampler keeps back does not shorten it.
    part = load_audio(
        path, sample_rate, offset_s=place * (seconds - needed), duration_s=needed + 0.01
    )
    return np.resize(part, length)


@functools.lru_cache(maxsize=65_536)
def _seconds(path: str) -> float | None:
    return probe(path).seconds


@functools.lru_cache(maxsize=256)
def _response(path: str, sample_rate: int) -> tuple[Samples, int]:
    """Return an impulse response from just before its direct sound, and where that stands."""
    samples = load_audio(path, sample_rate)
    peak = int(np.abs(samples).argmax())
    start = max(0, peak - round(_BEFORE_S * sample_rate))
    response = samples[start : start + round(_LONGEST_RESPONSE_S * sample_rate)]
    if not np.abs(response).max(initial=0.0) > 0:
        raise LoradarError(f"{path}: is silent, so it is no room response")
    return response, peak - start
