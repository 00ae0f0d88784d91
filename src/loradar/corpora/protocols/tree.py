"""Walking corpus folders and reading their lists, without a thought about what they mean."""

from __future__ import annotations

import csv
import gzip
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pandas as pd

from loradar.audio.reading import AUDIO_SUFFIXES
from loradar.corpora.manifest import COLUMNS, Manifest
from loradar.errors import InputError


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (number, line) of a UTF-8 text file, plain or ``.gz``; blank lines are left out.

    Raises
    ------
    InputError
        The file cannot be read.
    """
    try:
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rt", encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, line
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a protocol file: {error}") from None


def fields(path: Path, names: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (number, field by name) of lines whose fields stand apart by spaces.

    Raises
    ------
    InputError
        The file cannot be read, or a line has another number of fields.
    """
    for number, line in text_lines(path):
        found = line.split()
        if len(found) != len(names):
            raise InputError(
                f"{path}: line {number} has {len(found)} fields, not the {len(names)} "
                f"{' '.join(names)}"
            )
        yield number, dict(zip(names, found, strict=True))


def csv_rows(
    path: Path, columns: Iterable[str], *, delimiter: str = ","
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (row number, value by column) of a CSV file with a header, which is row 1.

    Raises
    ------
    InputError
        The file cannot be read or lacks one of ``columns``.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, delimiter=delimiter)
            lacking = sorted(set(columns) - set(reader.fieldnames or ()))
            if lacking:
                found = ", ".join(reader.fieldnames or ()) or "none"
                raise InputError(f"{path}: needs the columns {', '.join(lacking)}; found {found}")
            for number, row in enumerate(reader, start=2):
                yield number, {str(key): value or "" for key, value in row.items()}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None


def clips_below(folder: Path) -> list[str]:
    """Return the audio files at any depth below, relative, in order; hidden ones left out."""
    found = []
    for top, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        place = os.path.relpath(top, folder)
        for name in files:
            # Plain strings: pathlib takes minutes over a corpus of half a million files.
            if os.path.splitext(name)[1].lower() in AUDIO_SUFFIXES and name[0] != ".":  # noqa: PTH122
                found.append(name if place == "." else f"{place}/{name}".replace(os.sep, "/"))
    return sorted(found)


def first_there(places: Iterable[Path]) -> Path | None:
    """Return the first of the places that exists."""
    return next((place for place in places if place.exists()), None)


def manifest_of(
    rows: Sequence[Sequence[str]],
    columns: Sequence[str],
    *,
    corpus: str,
    source: Path,
    hint: str,
) -> Manifest:
    """Make a manifest from a reader's rows.

    Parameters
    ----------
    rows : sequence of rows
        Texts, one for each column.
    columns : sequence of str
        Names; those of the manifest that are not among them are empty.
    corpus : str
        Name for the column ``corpus``, and for messages.
    source : Path
        The folder that was given.
    hint : str
        What should have been there, said where there are no rows.

    Raises
    ------
    InputError
        There are no rows, or they make no valid manifest.
    """
    if not rows:
        raise InputError(f"{source}: no {corpus} corpus: {hint}")
    table = pd.DataFrame(rows, columns=list(columns))
    table["corpus"] = corpus
    free = [name for name in table.columns if name not in COLUMNS]
    # A list without that column says nothing by leaving it empty all the way down.
    table = table.drop(columns=[name for name in free if not table[name].astype(bool).any()])
    return Manifest(table, source=str(source))
