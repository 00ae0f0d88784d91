"""The record of a run, ``copies.jsonl``: what was asked, and what became of each clip so far.

The first line holds the arguments, each further one a clip whose files are complete. A run that
was killed goes on from it; a last line cut short is dropped.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

from loradar.corpora.copies.plan import Job
from loradar.corpora.copies.render import Options, Outcome, outdated
from loradar.errors import InputError

NAME = "copies.jsonl"
Stamp = tuple[int, int]


class Journal:
    """The open record of a folder; use it as a context manager.

    Parameters
    ----------
    options : Options
        Where the files are.
    arguments : mapping
        What decides the result, as JSON can hold it.

    Attributes
    ----------
    outcomes : dict
        Clip -> outcome, of earlier runs and of this one.

    Raises
    ------
    InputError
        The folder holds something else, or copies made with other arguments.
    """

    def __init__(self, options: Options, arguments: Mapping[str, Any]) -> None:
        self._options = options
        folder = Path(options.folder)
        path = folder / NAME
        self.outcomes: dict[str, Outcome] = {}
        self._stamps: dict[str, Stamp | None] = {}
        # Bytes of each file as it was written; none in a record of before they were kept.
        self._sizes: dict[str, dict[str, int]] = {}
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{folder}: is a file; give a folder for the copies")
        if not path.is_file() and folder.exists() and any(folder.iterdir()):
            raise InputError(f"{folder}: holds other files; give a new folder for the copies")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            end = self._read(path, arguments) if path.is_file() else 0
            # Without a buffer: what does not fit on the disk must fail here, and only once.
            self._file = path.open("ab", buffering=0)
            self._file.truncate(end)
            if not end:
                self._append(arguments)
        except OSError as error:
            raise InputError(f"{path}: cannot be written: {error.strerror or error}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    def _read(self, path: Path, arguments: Mapping[str, Any]) -> int:
        """Take in the whole lines that are there; return how many bytes they are."""
        end = 0
        with path.open("rb") as file:
            for number, line in enumerate(file):
                if not line.endswith(b"\n"):
                    break  # cut short by a kill or a full disk
                try:
                    entry = json.loads(line)
                    if number == 0:
                        _compare(path.parent, entry, arguments)
                    else:
                        self._take(entry)
                except (KeyError, TypeError, AttributeError, json.JSONDecodeError):
                    raise InputError(
                        f"{path}: line {number + 1} is damaged; delete the folder and repeat"
                    ) from None
                end += len(line)
        return end

    def _take(self, entry: dict[str, Any]) -> None:
        stamp, sizes = entry.pop("stamp"), entry.pop("sizes", {})
        outcome = Outcome(**entry)
        self.outcomes[outcome.name] = outcome
        self._stamps[outcome.name] = tuple(stamp) if stamp else None
        self._sizes[outcome.name] = dict(sizes)

    def is_done(self, job: Job) -> bool:
        """Whether all of a clip was made and still stands.

        Its source and the weights that made its copies are unchanged, and its files are there,
        as large as they were.
        """
        outcome = self.outcomes.get(job.name)
        if outcome is None or outcome.skipped or self._stamps[job.name] != stamp_of(job.path):
            return False
        if outdated(outcome):
            return False
        sizes = self._sizes[job.name]
        for attack in outcome.seconds:
            stamp = stamp_of(str(self._options.path(job.name, attack)))
            if stamp is None or stamp[0] != sizes.get(attack, stamp[0]):
                return False
        return True

    def has_changed(self, job: Job) -> bool:
        """Whether a clip was made from a source that is another file now."""
        return job.name in self.outcomes and self._stamps[job.name] != stamp_of(job.path)

    def add(self, job: Job, outcome: Outcome) -> None:
        """Record a clip whose files are written.

        Raises
        ------
        InputError
            The disk is full.
        """
        self.outcomes[job.name] = outcome
        self._stamps[job.name] = stamp_of(job.path)
        stamps = {a: stamp_of(str(self._options.path(job.name, a))) for a in outcome.seconds}
        self._sizes[job.name] = sizes = {a: s[0] for a, s in stamps.items() if s is not None}
        entry = {**asdict(outcome), "stamp": self._stamps[job.name], "sizes": sizes}
        try:
            self._append(entry)
        except OSError as error:
            path = Path(self._options.folder) / NAME
            raise InputError(f"{path}: cannot be written: {error.strerror or error}") from None

    def _append(self, entry: Mapping[str, Any]) -> None:
        line = json.dumps(entry).encode() + b"\n"
        if self._file.write(line) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def stamp_of(path: str) -> Stamp | None:
    """Return size and time of change of a file, None when it is not there."""
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def _compare(folder: Path, old: dict[str, Any], new: Mapping[str, Any]) -> None:
    for key in new:
        if old.get(key) != new[key]:
            told = f"with {key} {_short(old.get(key))}, not {_short(new[key])}"
            if key == "source":
                told = f"from other clips ({old.get('clips')} then, {new['clips']} now)"
            way = "repeat those arguments"
            if key == "attacks":
                # What can run here may have changed since: a package or a program came or went.
                way = f"give --attacks {_short(old.get(key))}"
            raise InputError(f"{folder}: was made {told}; {way} or give a new folder")


def _short(value: object) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value)) or "none"
    return str(value)
