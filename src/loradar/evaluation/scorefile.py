"""Reading and writing score files, and joining them with the labels of a manifest.

A score file is a CSV table ``path,label,attack,corpus,score,llr,p_spoof,verdict,reason,seconds``
(at least ``path,score``), or blank-separated text (``.txt``, ``.tsv``) as published systems give
it: ``path score`` (ASVspoof 2021), ``path attack label score`` (2019), ``path score label``, or
columns with a header (``filename cm-score``, ASVspoof 5); all plain or gzipped. Their labels may be
real and fake too. Higher scores are more bona fide.
"""

from __future__ import annotations

import csv
import gzip
import io
import os
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from loradar.corpora.labels import LABELS as WORDS
from loradar.errors import InputError
from loradar.files import atomic_path

COLUMNS = (
    "path",
    "label",
    "attack",
    "corpus",
    "score",
    "llr",
    "p_spoof",
    "verdict",
    "reason",
    "seconds",
)
NUMBERS = ("score", "llr", "p_spoof", "seconds")
SAID = ("score", "llr", "p_spoof", "verdict", "reason")
LABELS = ("bonafide", "spoof")
#: Columns of texts without a header, by their number.
_TEXTS = {
    2: ["path", "score"],
    3: ["path", "score", "label"],
    4: ["path", "attack", "label", "score"],
}
_OTHER_NAMES = {"filename": "path", "cm-score": "score"}


def read_scores(path: Path | str) -> pd.DataFrame:
    """Read a score file.

    Parameters
    ----------
    path : Path or str
        ``.csv``, ``.txt`` or ``.tsv``; each with ``.gz`` too.

    Returns
    -------
    DataFrame
        The file's columns in its order; numbers as float64 with NaN where a cell is empty, all
        else as text with empty text where a cell is empty.

    Raises
    ------
    InputError
        With the line and column, for a missing file or column, a cell that is no number, an
        infinite score, an unknown label, a row of another length, or a path that comes twice.
    """
    path = Path(path)
    rows = _rows(path)
    if not rows:
        raise InputError(f"{path}: the score file is empty")
    header = _header(path, rows)
    first = rows[0][0] if rows else 2
    for name in ("path", "score"):
        if name not in header:
            raise InputError(
                f"{path}: no column '{name}' (found: {', '.join(header) or 'none'}); a score file "
                "needs at least path,score"
            )
    if len(set(header)) != len(header):
        double = next(name for name in header if header.count(name) > 1)
        raise InputError(f"{path}: the column '{double}' comes twice")
    if not rows:
        raise InputError(f"{path}: no trial below the header (line {first - 1})")
    for line, cells in rows:
        if len(cells) != len(header):
            raise InputError(f"{path}, line {line}: {len(cells)} cells, expected {len(header)}")
    lines = [line for line, _ in rows]
    table = pd.DataFrame([cells for _, cells in rows], columns=header)
    for name in NUMBERS:
        if name in header:
            table[name] = _numbers(table[name], lines, f"{path}", name)
    if "label" in header and _is_plain(path):
        table["label"] = table["label"].map(lambda word: WORDS.get(word.lower(), word))
    if "label" in header:
        wrong = ~table["label"].isin(["", *LABELS])
        _complain_first(
            wrong, table["label"], lines, f"{path}", "label", "is neither bonafide nor spoof"
        )
    if _is_plain(path) and {"attack", "label"} <= set(header):
        table["attack"] = table["attack"].where(table["label"] != "bonafide", "")
    empty = table["path"] == ""
    _complain_first(empty, table["path"], lines, f"{path}", "path", "is empty")
    _complain_first(
        table["path"].duplicated(), table["path"], lines, f"{path}", "path", "comes twice"
    )
    return table


def write_scores(path: Path | str, table: pd.DataFrame) -> None:
    """Write a score file, whole or not at all; gzipped where the name ends in ``.gz``.

    The fixed columns come first, those that ``table`` lacks empty; other columns follow.

    Raises
    ------
    InputError
        When ``table`` has no ``path`` or no ``score``.
    """
    for name in ("path", "score"):
        if name not in table:
            raise InputError(f"cannot write {path}: the table has no column '{name}'")
    others = [name for name in table.columns if name not in COLUMNS]
    ordered = table.reindex(columns=[*COLUMNS, *others])
    data = ordered.to_csv(index=False, lineterminator="\n").encode("utf-8")
    if str(path).endswith(".gz"):
        data = gzip.compress(data, mtime=0)  # no time stamp: equal tables give equal bytes
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def join_manifest(
    scores: pd.DataFrame, manifest: pd.DataFrame, folder: Path | str = "."
) -> tuple[pd.DataFrame, int]:
    """Give each trial of a manifest its score.

    Paths are matched exactly, then as absolute paths (relative ones counted from ``folder`` and,
    for score files, also from the working folder), then by file name and by file name without
    suffix, the last two only where that name occurs once on both sides.

    Parameters
    ----------
    scores : DataFrame
        From `read_scores`.
    manifest : DataFrame
        The trials to evaluate: ``path``, ``label`` and other columns.
    folder : Path or str
        The manifest's folder.

    Returns
    -------
    tuple of DataFrame and int
        The manifest's rows and columns with the score file's added, and the number of score rows
        that belong to no trial. Where both have a column, the manifest's filled cells win for
        what describes a trial, the score file for what a system said of it.

    Raises
    ------
    InputError
        When a trial has no score: how many, and the first.
    """
    base = Path(folder).absolute()
    wanted = manifest["path"].astype(str).reset_index(drop=True)
    given = scores["path"].astype(str).reset_index(drop=True)
    row = np.full(len(wanted), -1)

    def match(key_wanted: Callable[[str], str], key_given: Callable[[str], str]) -> None:
        unmatched = row < 0
        if unmatched.any():
            left, right = wanted.map(key_wanted), given.map(key_given)
            once = pd.Series(right.index, index=right)[~right.duplicated(keep=False).to_numpy()]
            found = left.map(once).where(~left.duplicated(keep=False)).fillna(-1).to_numpy(int)
            row[unmatched] = found[unmatched]

    def under(root: Path) -> Callable[[str], str]:
        return lambda path: os.path.normpath(root / path)

    match(str, str)
    match(under(base), under(base))
    match(under(base), under(Path.cwd()))
    match(lambda path: Path(path).name, lambda path: Path(path).name)
    match(lambda path: Path(path).stem, lambda path: Path(path).stem)
    missing = np.flatnonzero(row < 0)
    if missing.size:
        raise InputError(
            f"{missing.size} of {len(wanted)} trials of the manifest have no score "
            f"(first: {wanted[missing[0]]}; the score file has {len(given)} rows, "
            f"first: {given[0] if len(given) else 'none'}); "
            "score them, or evaluate on a manifest that holds only the scored trials"
        )
    joined = manifest.reset_index(drop=True).copy()
    taken = scores.iloc[row].reset_index(drop=True)
    for name in taken.columns:
        if name not in joined or name in SAID:
            joined[name] = taken[name]
        elif name != "path":
            filled = joined[name].notna() & (joined[name] != "")
            joined[name] = joined[name].where(filled, taken[name])
    return joined, len(given) - len(np.unique(row))


def _is_plain(path: Path) -> bool:
    return path.name.removesuffix(".gz").endswith((".txt", ".tsv"))


def _header(path: Path, rows: list[tuple[int, list[str]]]) -> list[str]:
    """Return the columns' names; the row that gives them, where there is one, is taken out."""
    names = rows[0][1]
    if _is_plain(path):
        named = [_OTHER_NAMES.get(name, name) for name in names]
        if not {"path", "score"} <= set(named):
            return _TEXTS.get(len(names), _TEXTS[2])
        names = named
    del rows[0]
    return names


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """Return each filled line's number (from 1) and cells."""
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such score file") from None
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot read the score file: {error}") from None
    if _is_plain(path):
        split = [line.split() for line in text.splitlines()]
        return [(number, cells) for number, cells in enumerate(split, 1) if cells]
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        return [(reader.line_num, cells) for cells in reader if cells]
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: not CSV: {error}") from None


def _numbers(cells: pd.Series[str], lines: list[int], file: str, name: str) -> pd.Series[float]:
    """Turn cells into numbers; empty ones into NaN."""
    text = cells.str.strip()
    numbers = pd.to_numeric(text.where(text != ""), errors="coerce").astype(np.float64)
    wrong = (text != "") & ~np.isfinite(numbers)
    _complain_first(wrong, cells, lines, file, name, "is not a finite number")
    return numbers


def _complain_first(
    wrong: pd.Series[bool], cells: pd.Series[str], lines: list[int], file: str, name: str, what: str
) -> None:
    """Raise for the first row that ``wrong`` marks."""
    rows = np.flatnonzero(wrong.to_numpy())
    if rows.size:
        more = f" ({rows.size} such rows)" if rows.size > 1 else ""
        cell = cells.iloc[rows[0]]
        raise InputError(f"{file}, line {lines[rows[0]]}, column {name}: {cell!r} {what}{more}")
