"""Long recordings through a model, into the tables that `loradar.evaluation.timelines` reads."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import soundfile

from loradar.audio.reading import SAMPLE_RATE
from loradar.corpora.joined import Joined
from loradar.corpora.spliced import Splicer
from loradar.inference.judging import detect, judge
from loradar.inference.model import Model
from loradar.inference.verdict import Segment, Verdict

Progress = Callable[[int, int | None, str], None]
Tables = dict[str, pd.DataFrame]

_COLUMNS = {
    "recordings": "name kind splice length background voice corpus seconds verdict llr reasons "
    "alone alone_spoof",
    "segments": "path start end score verdict",
    "windows": "path start end score verdict",
    "truth": "path start end spoof",
}


class Collected:
    """Verdicts and what is known of their recordings, row by row.

    Attributes
    ----------
    lines : list of str
        The verdicts as ``loradar detect --json`` prints them.
    """

    def __init__(self) -> None:
        self._rows: dict[str, list[dict[str, Any]]] = {name: [] for name in _COLUMNS}
        self.lines: list[str] = []

    def add(self, name: str, verdict: Verdict, **known: Any) -> None:
        """Take a recording's verdict."""
        record = {
            "name": name,
            "seconds": verdict.seconds,
            "verdict": verdict.verdict,
            "llr": verdict.llr,
            "reasons": "; ".join(verdict.reasons),
            **known,
        }
        self._rows["recordings"].append(record)
        self.lines.append(json.dumps({**verdict.to_dict(), "path": name}))
        for path, part in _parts(name, verdict):
            for table, segments in (("segments", part.segments), ("windows", part.windows)):
                self._rows[table] += [
                    {
                        "path": path,
                        "start": each.start,
                        "end": each.end,
                        "score": each.llr,
                        "verdict": each.verdict,
                    }
                    for each in segments or _whole(part)
                ]

    def put_in(self, path: str, start: float, end: float, spoof: bool) -> None:
        """Take where a stretch was put in."""
        self._rows["truth"].append({"path": path, "start": start, "end": end, "spoof": spoof})

    def tables(self) -> Tables:
        """Return what was taken."""
        found = {
            name: pd.DataFrame(self._rows[name], columns=columns.split())
            for name, columns in _COLUMNS.items()
        }
        found["truth"] = found["truth"].astype({"spoof": bool})
        return found


def judge_spliced(
    model: Model,
    splicer: Splicer,
    folder: Path,
    *,
    prior: float = 0.5,
    batch_size: int = 16,
    keep: bool = False,
    progress: Progress | None = None,
) -> Collected:
    """Judge a splicer's recordings as ``loradar detect`` does, and their stretches alone.

    Parameters
    ----------
    model : Model
        See `loradar.inference.model.load_model`.
    splicer : Splicer
        What is judged.
    folder : Path
        Each recording is written there (FLAC) and read again.
    prior, batch_size
        As for `loradar.inference.judging.detect`.
    keep : bool
        Leave the recordings there.
    progress : callable, optional
        Called with (done, total, what).
    """
    found = Collected()
    for done, made in enumerate(splicer, 1):
        path = folder / f"{made.name}.flac"
        soundfile.write(path, made.samples, SAMPLE_RATE, subtype="PCM_16")
        (verdict,) = detect(model, [path], prior=prior, batch_size=batch_size)
        if not keep:
            path.unlink()
        alone = [
            judge(model, stretch, prior=prior, batch_size=batch_size).verdict
            for stretch in made.stretches
        ]
        found.add(
            made.name,
            verdict,
            kind=made.kind,
            splice=made.splice,
            length=made.length,
            background=made.background,
            alone=len(alone),
            alone_spoof=alone.count("SPOOF"),
        )
        for span in made.spans:
            # A call whose channels were judged as one has one timeline.
            channel = f"#{span.channel}" if span.channel and verdict.channels else ""
            found.put_in(made.name + channel, span.start, span.end, span.spoof)
        if progress is not None:
            progress(done, len(splicer), "recordings")
    return found


def judge_human(
    model: Model,
    recordings: Iterable[Joined],
    *,
    prior: float = 0.5,
    batch_size: int = 16,
    progress: Progress | None = None,
) -> tuple[Collected, list[str]]:
    """Judge human recordings; return what was found and what could not be read."""
    found, clips = Collected(), 0
    unreadable: list[str] = []
    for each in recordings:
        (verdict,) = detect(model, [each.path], prior=prior, batch_size=batch_size)
        found.add(each.name, verdict, kind="human", voice=each.voice, corpus=each.corpus)
        unreadable += each.unreadable
        clips += each.clips + len(each.unreadable)
        if progress is not None:
            progress(clips, None, "clips")
    return found, unreadable


def _parts(name: str, verdict: Verdict) -> list[tuple[str, Verdict]]:
    if not verdict.channels:
        return [(name, verdict)]
    return [(f"{name}#{number}", part) for number, part in enumerate(verdict.channels, 1)]


def _whole(verdict: Verdict) -> tuple[Segment, ...]:
    """One segment for a recording of one window, whose verdict is the recording's."""
    if verdict.llr is None or verdict.p_spoof is None:
        return ()
    end = max(verdict.seconds, 0.01)
    return (Segment(0.0, end, verdict.p_spoof, verdict.llr, verdict.verdict),)
