"""Read every file of a corpus once, and say what is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from loradar.audio.measure import Measured, measure
from loradar.corpora.copies.pool import spread
from loradar.corpora.manifest import Manifest
from loradar.evaluation.corpus.shortcuts import Shortcut, shortcuts

MIN_SECONDS = 0.5
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a clip: its path, what, and how."""

    path: str
    problem: str
    detail: str = ""


@dataclass(frozen=True)
class CorpusReport:
    """What a check found.

    Attributes
    ----------
    clips, readable : int
        Rows, and files that could be read.
    hours : float
        Of the readable ones.
    balance : dict
        ``SPLIT/LABEL`` -> clips.
    rates : dict
        ``RATE Hz/LABEL`` -> clips.
    problems : list of Problem
        Clip by clip: ``missing``, ``corrupt``, ``too_short``, ``rate``, ``duplicate``,
        ``duplicate_other_label``, ``leak_audio``.
    speaker_leaks : dict
        Speaker -> the splits that hold it, for those in more than one.
    shortcuts : list of Shortcut
        The strongest first.
    """

    clips: int
    readable: int
    hours: float
    balance: dict[str, int]
    rates: dict[str, int]
    problems: list[Problem]
    speaker_leaks: dict[str, list[str]]
    shortcuts: list[Shortcut] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        """Clips by problem."""
        return dict(Counter(problem.problem for problem in self.problems))

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON, the problems counted."""
        return {
            "clips": self.clips,
            "readable": self.readable,
            "hours": round(self.hours, 3),
            "balance": self.balance,
            "rates": self.rates,
            "problems": self.counts,
            "speaker_leaks": self.speaker_leaks,
            "shortcuts": [
                {**vars(shortcut), "suspicious": shortcut.suspicious} for shortcut in self.shortcuts
            ],
        }


def check_corpus(
    manifest: Manifest,
    *,
    min_seconds: float = MIN_SECONDS,
    sample_rate: int | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> CorpusReport:
    """Read every file once and look for what would spoil training or figures.

    Parameters
    ----------
    manifest : Manifest
        The clips.
    min_seconds : float
        Shorter clips are reported.
    sample_rate : int, optional
        Clips stored at another rate are reported; the commonest rate where it is not given.
    workers : int
        Processes.
    progress : callable, optional
        Called with (done, total, what).

    Returns
    -------
    CorpusReport
    """
    table = manifest.table.reset_index(drop=True)
    paths = [str(path) for path in table["path"]]
    by_path: dict[str, Measured] = {}
    for path, result in spread(measure, paths, workers, crashed=_crashed):
        by_path[path] = result
        if progress is not None:
            progress(len(by_path), len(paths), "reading clips")
    measured = [by_path[path] for path in paths]
    good = np.array([not clip.error for clip in measured], bool)
    readable = [clip for clip in measured if not clip.error]
    rows = table[good].reset_index(drop=True)
    return CorpusReport(
        clips=len(paths),
        readable=len(readable),
        hours=sum(clip.seconds for clip in readable) / 3600.0,
        balance=_pairs(table["split"].replace("", "no split"), table["label"]),
        rates=_pairs([f"{clip.sample_rate} Hz" for clip in readable], rows["label"]),
        problems=[
            *_files(measured, min_seconds, sample_rate),
            *_duplicates(readable, rows),
        ],
        speaker_leaks=_speaker_leaks(table),
        shortcuts=shortcuts(readable, rows),
    )


def _crashed(path: str) -> Measured:
    return Measured(path, error="it brings the process that reads it down")


def _pairs(first: Sequence[str] | pd.Series, labels: pd.Series) -> dict[str, int]:
    named = (f"{one}/{label or 'no label'}" for one, label in zip(first, labels, strict=True))
    return dict(sorted(Counter(named).items()))


def _files(
    measured: Sequence[Measured], min_seconds: float, sample_rate: int | None
) -> list[Problem]:
    rates = Counter(clip.sample_rate for clip in measured if not clip.error)
    expected = sample_rate or (rates.most_common(1)[0][0] if rates else 0)
    found = []
    for clip in measured:
        if clip.error:
            missing = clip.error == "missing"
            kind, detail = ("missing", "") if missing else ("corrupt", clip.error)
            found.append(Problem(clip.path, kind, detail))
            continue
        if clip.seconds < min_seconds:
            found.append(Problem(clip.path, "too_short", f"{clip.seconds:.2f} s"))
        if clip.zeros == 1.0:
            found.append(Problem(clip.path, "silent", "every sample is 0"))
        if clip.sample_rate != expected:
            found.append(Problem(clip.path, "rate", f"{clip.sample_rate} Hz, not {expected} Hz"))
    return found


def _duplicates(readable: Sequence[Measured], rows: pd.DataFrame) -> list[Problem]:
    """Clips with the very audio of an earlier one; worse where label or split differs."""
    labels, splits = rows["label"].tolist(), rows["split"].tolist()
    first: dict[str, int] = {}
    found = []
    for row, clip in enumerate(readable):
        earlier = first.setdefault(clip.digest, row)
        if earlier == row:
            continue
        kind = "duplicate"
        if splits[earlier] != splits[row]:
            kind = "leak_audio"
        if labels[earlier] != labels[row]:
            kind = "duplicate_other_label"
        found.append(Problem(clip.path, kind, f"as {readable[earlier].path}"))
    return found


def _speaker_leaks(table: pd.DataFrame) -> dict[str, list[str]]:
    held: dict[tuple[str, str], set[str]] = {}
    columns = (table[name].tolist() for name in ("corpus", "speaker", "split"))
    for corpus, speaker, split in zip(*columns, strict=True):
        if speaker and split:
            held.setdefault((corpus, speaker), set()).add(split)
    # One name in two corpora may be two people.
    alone = len({corpus for corpus, _ in held}) <= 1
    return {
        speaker if alone else f"{corpus}/{speaker}": sorted(splits)
        for (corpus, speaker), splits in held.items()
        if len(splits) > 1
    }
