"""Scoring any number of files: resumable, in order, with little memory.

Rows go to a journal beside the score file, a group of files at a time, and the journal becomes
the score file when all are there. Groups end where the list of files says, and no batch reaches
over the end of a group: a run that was killed and goes on scores the same batches as one that was
not, and gives the same bytes.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from loradar.errors import InputError
from loradar.evaluation.scorefile import COLUMNS
from loradar.files import atomic_path
from loradar.inference.judging import detect_batched
from loradar.inference.model import Model
from loradar.inference.scan import Scanner
from loradar.inference.verdict import Verdict

#: Files of a group; also how many a killed run may have to score again, at most.
GROUP, GROUP_BYTES = 64, 256 * 1024**2


@dataclass(frozen=True)
class Clip:
    """A file to score, and what its row says of it."""

    path: str
    label: str = ""
    attack: str = ""
    corpus: str = ""


@dataclass(frozen=True)
class Done:
    """How a run ended: files scored in all, of them unreadable, and how many earlier runs did."""

    files: int
    errors: int
    before: int


def score_files(
    model: Model,
    clips: Iterable[Clip],
    out: Path,
    *,
    settings: dict[str, Any] | None = None,
    prior: float = 0.5,
    batch_size: int = 16,
    first: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Done:
    """Score files into a score file, or go on where an earlier run stopped.

    Parameters
    ----------
    model : Model
        The detector and its calibration.
    clips : iterable of Clip
        Read lazily; on a second run the same ones in the same order.
    out : Path
        The score file (CSV). ``.NAME.part`` beside it is the journal.
    settings : dict, optional
        What a run that goes on must have in common with the one before, beside ``prior``,
        ``batch_size``, the calibration and the model's name: for instance the hash of its weights.
    prior : float
        Prior probability of spoof.
    batch_size : int
        Windows a forward pass.
    first : bool
        Score the first window of each file alone.
    progress : callable, optional
        Called with the number of files done after each file, and once at the start.

    Returns
    -------
    Done

    Raises
    ------
    InputError
        The journal is of another run, or cannot be written.
    """
    calibration = None if model.calibration is None else model.calibration.to_dict()
    run = {
        "model": model.name,
        "prior": prior,
        "batch_size": batch_size,
        "first": first,
        "calibration": calibration,
        **(settings or {}),
    }
    journal = _Journal(journal_of(out), run)
    before, errors = journal.files, journal.errors
    scanner = Scanner(model.detector, batch_size, first=first, ahead=True)
    done = before
    if progress is not None:
        progress(done)
    with journal:
        for group in _groups(_remaining(clips, journal)):
            paths = [clip.path for clip in group]
            rows = []
            verdicts = detect_batched(model, paths, prior=prior, scanner=scanner)
            for clip, verdict in zip(group, verdicts, strict=True):
                rows.append(_row(clip, verdict))
                errors += verdict.verdict == "ERROR"
                done += 1
                if progress is not None:
                    progress(done)
            journal.add(rows)
    _finish(journal.path, out)
    return Done(done, errors, before)


def journal_of(out: Path) -> Path:
    """Where the rows of an unfinished run are."""
    return out.with_name(f".{out.name}.part")


def _finish(journal: Path, out: Path) -> None:
    if out.suffix == ".gz":
        with (
            atomic_path(out) as temporary,
            journal.open("rb") as rows,
            temporary.open("wb") as raw,
            # No time stamp and no name: equal rows give equal bytes.
            gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed,
        ):
            shutil.copyfileobj(rows, packed)
        journal.unlink()
    else:
        journal.replace(out)


def _groups(clips: Iterable[Clip]) -> Iterator[list[Clip]]:
    group: list[Clip] = []
    size = 0
    for clip in clips:
        group.append(clip)
        with suppress(OSError, ValueError):  # missing, or inside a shard
            size += Path(clip.path).stat().st_size
        if len(group) == GROUP or size > GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _remaining(clips: Iterable[Clip], journal: _Journal) -> Iterator[Clip]:
    """Skip what the journal holds; it must begin with the same files."""
    found = journal.paths()
    for clip in clips:
        known = next(found, None)
        if known is None:
            yield clip
        elif known != _plain(clip.path):
            raise InputError(
                f"{journal.path} is of a run over other files ({known}, not {clip.path}): "
                "give another -o, or delete it to start anew"
            )
    if next(found, None) is not None:
        raise InputError(
            f"{journal.path} holds more files than are given now: give another -o, or delete it"
        )


class _Journal:
    """Whole groups of rows in a CSV file, after a first line that says which run they are of."""

    def __init__(self, path: Path, run: dict[str, Any]) -> None:
        self.path = path
        self._run = json.dumps(run, sort_keys=True)
        self._about = path.with_name(path.name + ".json")
        self.files, self.errors, self._size = self._read()
        self._file: io.TextIOWrapper | None = None

    def _read(self) -> tuple[int, int, int]:
        """Files, errors and bytes of the groups that are whole."""
        if not self.path.exists() or not self._about.exists():
            return 0, 0, 0
        try:
            about = json.loads(self._about.read_text(encoding="utf-8"))
            run, files, errors, size = (about[k] for k in ("run", "files", "errors", "size"))
        except (OSError, ValueError, KeyError, TypeError):
            return 0, 0, 0
        if run != self._run:
            old, new = json.loads(run), json.loads(self._run)
            changed = [k for k in sorted({*old, *new}) if old.get(k) != new.get(k)]
            raise InputError(
                f"{self.path} is of a run with other settings ({', '.join(changed)}): "
                "give another -o, or delete it to start anew"
            )
        return (files, errors, size) if self.path.stat().st_size >= size else (0, 0, 0)

    def paths(self) -> Iterator[str]:
        """The files whose rows are there."""
        if not self.files:
            return
        with self.path.open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file)
            for _, row in zip(range(self.files), rows, strict=False):
                yield row["path"]

    def __enter__(self) -> _Journal:
        try:
            self._file = self.path.open("r+" if self._size else "w", encoding="utf-8", newline="")
            if self._size:
                self._file.truncate(self._size)
                self._file.seek(0, os.SEEK_END)
            else:
                self._write(",".join(COLUMNS) + "\n")
        except OSError as error:
            raise InputError(f"{self.path}: cannot be written: {error.strerror}") from None
        return self

    def __exit__(self, *exception: object) -> None:
        if self._file is not None:
            self._file.close()
        if exception[0] is None:
            self._about.unlink(missing_ok=True)

    def add(self, rows: list[dict[str, object]]) -> None:
        """Write the rows of a group, and then that they are there."""
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writerows(rows)
        self.files += len(rows)
        self.errors += sum(row["verdict"] == "ERROR" for row in rows)
        self._write(text.getvalue())

    def _write(self, text: str) -> None:
        if self._file is None:
            raise RuntimeError("the journal is not open")
        try:
            self._file.write(text)
            self._file.flush()
            os.fsync(self._file.fileno())
            about = {
                "run": self._run,
                "files": self.files,
                "errors": self.errors,
                "size": self.path.stat().st_size,
            }
            temporary = self._about.with_name(self._about.name + ".new")
            temporary.write_text(json.dumps(about), encoding="utf-8")
            temporary.replace(self._about)
        except OSError as error:
            raise InputError(f"{self.path}: cannot be written: {error.strerror}") from None


def _row(clip: Clip, verdict: Verdict) -> dict[str, object]:
    numbers = (verdict.score, verdict.llr, verdict.p_spoof)
    score, llr, p_spoof = ("" if x is None else repr(float(f"{x:.9g}")) for x in numbers)
    row = {
        **asdict(clip),
        "score": score,
        "llr": llr,
        "p_spoof": p_spoof,
        "verdict": verdict.verdict,
        "reason": _plain("; ".join(verdict.reasons)),
        "seconds": round(verdict.seconds, 3),
    }
    row["path"] = _plain(clip.path)
    return row


def _plain(text: str) -> str:
    """One line; bytes of a name that are no UTF-8 become question marks."""
    return " ".join(text.splitlines()).encode("utf-8", "replace").decode("utf-8")
