"""Choosing the clips on which attacks are judged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from loradar.audio.reading import SAMPLE_RATE, load_audio
from loradar.corpora.manifest import Manifest
from loradar.errors import InputError
from loradar.evaluation.copies.frames import speech_seconds

LEAST_SPEAKERS = 5
LEAST_SPEECH_S = 1.0
SECONDS = 4.0375  # 64,600 samples, what detectors are trained on


@dataclass(frozen=True)
class Clip:
    """A source clip.

    Attributes
    ----------
    name : str
        Unique among the clips.
    speaker : str
        The clip's own name where the manifest names no speaker.
    samples : ndarray of float32, [T]
        16 kHz mono.
    transcript : str
        Empty when unknown.
    """

    name: str
    speaker: str
    samples: NDArray[np.float32]
    transcript: str = ""


@dataclass(frozen=True)
class Chosen:
    """Clips, and one line for each one that was passed over: unreadable, or without speech."""

    clips: list[Clip]
    unreadable: list[str]
    without_speech: list[str]


def candidates(manifest: Manifest, *, prefer_dev: bool = True) -> pd.DataFrame:
    """Return the rows that may serve as sources: all that are not spoofed.

    With ``prefer_dev`` only those of the dev split, when it has five speakers or more.

    Raises
    ------
    InputError
        Every clip is spoofed.
    """
    table = manifest.table[manifest.table["label"] != "spoof"]
    if table.empty:
        raise InputError(f"{manifest.source}: every clip is spoofed; give real speech")
    dev = table[table["split"] == "dev"]
    speakers = set(dev["speaker"]) - {""}
    return dev if prefer_dev and len(speakers) >= LEAST_SPEAKERS else table


def choose_clips(
    table: pd.DataFrame,
    count: int,
    *,
    seconds: float = SECONDS,
    seed: int = 0,
    progress: Callable[[int, int, str], None] = lambda *_: None,
) -> Chosen:
    """Read clips, each speaker in turn.

    Parameters
    ----------
    table : DataFrame
        Rows of a manifest; the columns ``transcript`` or ``text`` are used when there.
    count : int
        Clips wanted; fewer when there are no more.
    seconds : float
        Clips are cut there.
    seed : int
        Decides which clips and the order of speakers.
    progress : callable
        Called with (done, total, what).

    Returns
    -------
    Chosen
        A clip that cannot be read or has less than 1 s of speech gives way to the next.

    Raises
    ------
    InputError
        Not one clip can be used.
    """
    chosen = Chosen([], [], [])
    names: set[str] = set()
    for row in _in_turn(table, seed):
        if len(chosen.clips) == count:
            break
        path = Path(str(row["path"]))
        try:
            samples = load_audio(path, duration_s=seconds)
        except InputError as error:
            chosen.unreadable.append(str(error))
            continue
        if speech_seconds(samples, SAMPLE_RATE) < LEAST_SPEECH_S:
            chosen.without_speech.append(f"{path}: less than {LEAST_SPEECH_S:g} s of speech")
            continue
        name = path.stem if path.stem not in names else f"{path.stem}-{len(names)}"
        names.add(name)
        transcript = str(row.get("transcript") or row.get("text") or "")
        chosen.clips.append(Clip(name, str(row["speaker"]) or name, samples, transcript))
        progress(len(chosen.clips), count, "reading clips")
    if not chosen.clips:
        first = [*chosen.unreadable, *chosen.without_speech][0]
        raise InputError(f"none of {len(table)} clips can be used; the first: {first}")
    return chosen


def _in_turn(table: pd.DataFrame, seed: int) -> list[dict[str, Any]]:
    """Order rows so that each speaker's first clip comes before anyone's second."""
    shuffled = table.sort_values("path").sample(frac=1, random_state=seed)
    speaker = shuffled["speaker"].where(shuffled["speaker"] != "", shuffled["path"])
    turn = shuffled.groupby(speaker.to_numpy()).cumcount()
    ordered = shuffled.assign(_turn=turn).sort_values("_turn", kind="stable")
    return [{str(key): value for key, value in row.items()} for row in ordered.to_dict("records")]
