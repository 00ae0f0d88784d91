"""Speech synthesis programs, where installed: another voice says the transcript."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr

from loradar.errors import InputError
from loradar.vocoders.analysis import Samples, at_level
from loradar.vocoders.attack import Attack, Source
from loradar.vocoders.ranges import OneOf, Ranges, Span

_TIMEOUT = 60.0  # seconds for one transcript
_LONGEST = 2000  # characters of a transcript

Command = Callable[[Mapping[str, Any], Path], list[str]]


def program(name: str, executable: str, command: Command, ranges: Ranges) -> Attack:
    """Make an attack of a program that reads text from standard input and writes a WAV file.

    Parameters
    ----------
    name : str
        Of the attack, its settings aside.
    executable : str
        Looked up on PATH.
    command : callable
        ``(settings, output) -> arguments`` after the executable.
    ranges : Ranges
        Of the settings.

    Returns
    -------
    attack : Attack
        Not aligned. What it renders depends on the program's version, and on nothing drawn but
        the settings.
    """

    def missing() -> str | None:
        if shutil.which(executable) is None:
            return f"needs the program {executable}, which is not on PATH"
        return None

    def render(source: Source, settings: Mapping[str, Any], rng: np.random.Generator) -> Samples:
        text = _plain(source.transcript)
        if not text:
            raise InputError(f"{name}: the transcript is empty")
        with tempfile.TemporaryDirectory(prefix="loradar-") as folder:
            output = Path(folder) / "speech.wav"
            _run(name, executable, command(settings, output), text)
            speech = _read(name, output, source.sample_rate)
        return at_level(speech, source.samples)

    return Attack(
        name,
        "program",
        "program",
        ranges,
        render,
        missing,
        aligned=False,
        needs=frozenset({"transcript"}),
    )


def _plain(transcript: str) -> str:
    """One line without control characters; capitals alone would be spelled out letter by letter."""
    text = " ".join("".join(c if c.isprintable() else " " for c in transcript).split())[:_LONGEST]
    return text.lower() if text.isupper() else text


def _run(name: str, executable: str, arguments: list[str], text: str) -> None:
    path = shutil.which(executable)
    if path is None:
        raise InputError(f"{name}: needs the program {executable}, which is not on PATH")
    try:
        done = subprocess.run(
            [path, *arguments],
            input=text.encode(),
            capture_output=True,
            timeout=_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise InputError(f"{name}: no result after {_TIMEOUT:g} s") from None
    except OSError as error:
        raise InputError(f"{name}: cannot be started ({error})") from error
    if done.returncode:
        words = done.stderr.decode(errors="replace").split()
        raise InputError(f"{name}: exit code {done.returncode}: {' '.join(words)[:200]}")


def _read(name: str, path: Path, sample_rate: int) -> Samples:
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (OSError, soundfile.SoundFileError) as error:
        raise InputError(f"{name}: wrote no readable speech ({error})") from error
    mono: Samples = samples.mean(axis=1)
    if not mono.any() or not np.isfinite(mono).all():
        raise InputError(f"{name}: wrote silence")
    resampled: Samples = soxr.resample(mono, rate, sample_rate)
    return resampled


def _espeak(settings: Mapping[str, Any], output: Path) -> list[str]:
    voice = f"{settings['voice']}+{settings['variant']}"
    pace = ["-s", f"{settings['speed']}", "-p", f"{settings['pitch']}"]
    return ["--stdin", "-v", voice, *pace, "-w", str(output)]


def _flite(settings: Mapping[str, Any], output: Path) -> list[str]:
    pace = ["--setf", f"duration_stretch={settings['stretch']}"]
    return ["-voice", settings["voice"], *pace, "-o", str(output)]


def _festival(settings: Mapping[str, Any], output: Path) -> list[str]:
    pace = f"(Parameter.set 'Duration_Stretch {settings['stretch']})"
    return ["-eval", pace, "-o", str(output)]


PROGRAMS: list[Attack] = [
    program(
        "espeak",
        "espeak-ng",
        _espeak,
        Ranges(
            voice=OneOf(("en-us", "en-gb", "en-gb-scotland", "en-029")),
            variant=OneOf(("m1", "m2", "m3", "m4", "m7", "f1", "f2", "f3", "f4")),
            speed=Span(130, 210),
            pitch=Span(25, 75),
        ),
    ),
    program(
        "flite",
        "flite",
        _flite,
        Ranges(voice=OneOf(("kal16", "awb", "rms", "slt")), stretch=Span(0.85, 1.25)),
    ),
    # The voice is the one that the installation speaks with by default.
    program("festival", "text2wave", _festival, Ranges(stretch=Span(0.85, 1.25))),
]
