"""Short human clips joined to recordings of some minutes, voice by voice."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import soundfile

from loradar.audio.joining import Samples, faded
from loradar.audio.reading import SAMPLE_RATE
from loradar.audio.streams import Block, stream_audio
from loradar.errors import InputError


@dataclass(frozen=True)
class Joined:
    """A recording of one voice.

    Attributes
    ----------
    name : str
        Voice and number.
    voice, corpus : str
        Whose it is, and where from.
    path : Path
        The file; gone once the next one is asked for.
    clips : int
        How many it is made of.
    unreadable : tuple of str
        What was wrong with clips that were left out.
    """

    name: str
    voice: str
    corpus: str
    path: Path
    clips: int
    unreadable: tuple[str, ...] = ()


def voices_of(clips: pd.DataFrame) -> pd.Series[str]:
    """Name each clip's voice: its corpus and speaker, or its folder where no speaker is known."""
    folders = clips["path"].map(lambda path: Path(path).parent.name)
    speakers = clips["speaker"].fillna("")
    named = speakers.where(speakers != "", folders)
    corpora = clips["corpus"].fillna("")
    return (corpora + "/" + named).str.strip("/")


def voices_by_pattern(paths: pd.Series[str], pattern: str) -> pd.Series[str]:
    """Return what a regular expression's first group finds in each path.

    Raises
    ------
    InputError
        It is no regular expression, has no group, or matches no path.
    """
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise InputError(f"--voice {pattern}: no regular expression: {error}") from None
    if expression.groups < 1:
        raise InputError(f"--voice {pattern}: put brackets around what names the voice")
    found = paths.map(lambda path: next((m[1] for m in expression.finditer(path)), None) or "")
    if not (found != "").any():
        raise InputError(f"--voice {pattern}: occurs in no path, such as {paths.iloc[0]}")
    return found


def joined_recordings(clips: pd.DataFrame, seconds: float, folder: Path) -> Iterator[Joined]:
    """Join each voice's clips in their order; a recording is full at ``seconds`` or more.

    Parameters
    ----------
    clips : DataFrame
        A manifest's table: ``path,speaker,corpus``.
    seconds : float
        Length; clips that are longer stay whole and alone, 0 keeps every clip alone. The last
        recording of a voice may be shorter.
    folder : Path
        Where each is written (FLAC, 16 kHz, mono), and removed again.

    Yields
    ------
    Joined
        At least one clip each; a voice none of whose clips can be read gives none.

    Raises
    ------
    InputError
        No clip at all can be read.
    """
    made, faults = 0, []
    for voice, rows in clips.groupby(voices_of(clips), sort=True):
        waiting = rows.sort_values("path")["path"].tolist()
        corpus = str(rows["corpus"].fillna("").iloc[0])
        number = 0
        while waiting:
            path = folder / f"{made:06d}.flac"
            count, wrong = _fill(path, waiting, seconds)
            faults += wrong
            if count:
                name = f"{voice}/{number:03d}"
                yield Joined(name, str(voice), corpus, path, count, tuple(wrong))
                made, number = made + 1, number + 1
            path.unlink(missing_ok=True)
    if not made:
        raise InputError(f"none of {len(clips)} clips can be read, first: {faults[0]}")


def _fill(path: Path, waiting: list[str], seconds: float) -> tuple[int, list[str]]:
    """Write clips from the front of ``waiting`` until there are ``seconds``."""
    done = count = 0
    wrong: list[str] = []
    with soundfile.SoundFile(path, "w", SAMPLE_RATE, 1, "PCM_16", format="FLAC") as file:
        while waiting and (not count or done < seconds * SAMPLE_RATE):
            held = 0
            try:
                for block in _faded(stream_audio(waiting.pop(0))):
                    file.write(block)
                    held += len(block)
            except InputError as error:
                wrong.append(str(error))
            done, count = done + held, count + bool(held)
    return count, wrong


def _faded(blocks: Iterator[Block]) -> Iterator[Samples]:
    """Fade in at the first of a clip's blocks and out at its last."""
    before: Samples | None = None
    first = True
    for block in blocks:
        if before is not None:
            yield faded(before, start=first, end=False)
            first = False
        before = block.samples
    if before is not None:
        yield faded(before, start=first)
