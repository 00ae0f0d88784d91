"""Manifests: one table that says, for every clip, where it is and what it is."""

from __future__ import annotations

import csv
import gzip
import os
import re
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from loradar.audio.archives import is_clip
from loradar.errors import InputError
from loradar.files import atomic_path

COLUMNS = ("path", "label", "attack", "speaker", "split", "corpus")
LABELS = ("bonafide", "spoof")
SPLITS = ("train", "dev", "eval")
UNKNOWN_ATTACK = "unknown"

_SHOWN = 5  # complaints spelt out before the rest is only counted
# Numbers as people and programs write them; "007" stays text, since it is a name.
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?")


class Manifest:
    """A checked table of clips.

    Parameters
    ----------
    table : DataFrame
        At least the column ``path``. The missing ones of `COLUMNS` are added, empty; any others
        ("free columns") are kept. The index counts rows as a spreadsheet does, less 2.
    source : str
        Where the table comes from, for messages.
    folder : Path or str, optional
        What relative paths are relative to; the current folder when not given.

    Attributes
    ----------
    table : DataFrame
        `COLUMNS` first, paths absolute, index 0 to N - 1. A spoof row that names no attack has
        ``unknown`` there.
    source : str
        As given.

    Raises
    ------
    InputError
        A column or value is not valid; row, column and reason of the first few in one line.
    """

    def __init__(
        self, table: pd.DataFrame, *, source: str = "manifest", folder: Path | str = "."
    ) -> None:
        if "path" not in table.columns:
            found = ", ".join(map(str, table.columns)) or "none"
            raise InputError(f"{source}: no column 'path' (columns found: {found}); add one")
        table = table.copy()
        for column in COLUMNS:
            table[column] = _as_text(table[column]) if column in table.columns else ""
        table = table[[*COLUMNS, *(name for name in table.columns if name not in COLUMNS)]]
        root = os.path.abspath(folder)  # noqa: PTH100 - resolve() would follow links
        # Plain strings: pathlib takes seconds over the 700,000 rows of a large corpus.
        join, tidy = os.path.join, os.path.normpath
        table["path"] = [tidy(join(root, path)) if path else "" for path in table["path"]]
        _complain(table, source)
        nameless = (table["label"] == "spoof") & (table["attack"] == "")
        table.loc[nameless, "attack"] = UNKNOWN_ATTACK
        self.table = table.reset_index(drop=True)
        self.source = source

    def __len__(self) -> int:
        return len(self.table)

    def __repr__(self) -> str:
        counts = self.table["label"].value_counts()
        return (
            f"Manifest({self.source}: {len(self)} clips, {counts.get('bonafide', 0)} bonafide, "
            f"{counts.get('spoof', 0)} spoof)"
        )

    @property
    def labels(self) -> NDArray[np.int64]:
        """Class indices [N]: 1 = bona fide, 0 = spoof, -1 = unknown."""
        codes = {"bonafide": 1, "spoof": 0, "": -1}
        return np.array([codes[label] for label in self.table["label"]], np.int64)

    def where(self, conditions: Mapping[str, str | Sequence[str]]) -> Manifest:
        """Return the rows whose every named column holds one of the values given for it.

        Parameters
        ----------
        conditions : mapping of str to str or sequence of str
            For instance ``{"split": "train", "attack": ["", "A01"]}``; numbers compare as text.

        Raises
        ------
        InputError
            A column or value does not occur in the table, or no row meets all conditions.
        """
        keep = np.ones(len(self), bool)
        for column, values in conditions.items():
            wanted = [values] if isinstance(values, str) else [str(value) for value in values]
            if column not in self.table.columns:
                known = ", ".join(map(str, self.table.columns))
                raise InputError(f"{self.source}: no column {column!r}; there are {known}")
            texts = self.table[column].astype(str)
            if pd.api.types.is_numeric_dtype(self.table[column]):
                # 1 beside 2.5 is held as 1.0; people ask for what the file shows.
                texts, wanted = texts.map(_plain_number), [_plain_number(v) for v in wanted]
            unknown = sorted(set(wanted) - set(texts))
            if unknown:
                known = _listed(sorted(set(texts)))
                raise InputError(
                    f"{self.source}: column {column!r} never holds {_listed(unknown)}; "
                    f"it holds {known}"
                )
            keep &= texts.isin(wanted).to_numpy(bool)
        if not keep.any():
            asked = " and ".join(f"{key} = {value}" for key, value in conditions.items())
            raise InputError(f"{self.source}: no clip has {asked or 'anything'}; ask for less")
        return self._rows(keep)

    def without(self, conditions: Mapping[str, str | Sequence[str]]) -> Manifest:
        """Return the rows of which no named column holds a value given for it.

        Raises
        ------
        InputError
            A column or value does not occur in the table (a reserved speaker must not slip in by
            a slip of the pen), or no row is left.
        """
        gone: set[str] = set()
        for column, values in conditions.items():
            gone.update(self.where({column: values}).table["path"])
        keep = ~self.table["path"].isin(gone)
        if not keep.any():
            asked = " or ".join(f"{key} = {value}" for key, value in conditions.items())
            raise InputError(f"{self.source}: every clip has {asked}; leave out less")
        return self._rows(keep.to_numpy(bool))

    def _rows(self, keep: NDArray[np.bool_]) -> Manifest:
        chosen = Manifest.__new__(Manifest)
        chosen.table = self.table[keep].reset_index(drop=True)
        chosen.source = self.source
        return chosen

    def check_files(self) -> list[str]:
        """Return the paths of clips that are not there."""
        return [path for path in self.table["path"] if not is_clip(path)]


def read_manifest(path: Path | str) -> Manifest:
    """Read a manifest.

    Parameters
    ----------
    path : Path or str
        CSV (UTF-8, a header row; ``.gz`` too) or Parquet, by suffix. Relative clip paths are
        relative to its folder. Free columns of plain numbers become numbers, all others stay text.

    Raises
    ------
    InputError
        The file is missing or malformed, or a value is not valid: file, row (the header is row
        1), column, and what is wrong.
    """
    path = Path(path)
    if not path.is_file():
        what = "is a folder, not a manifest file" if path.is_dir() else "no such manifest"
        raise InputError(f"{path}: {what}; give a CSV or Parquet file")
    table = _read_parquet(path) if path.suffix.lower() in (".parquet", ".pq") else _read_csv(path)
    if table.empty:
        raise InputError(f"{path}: holds no rows; add one line a clip below the header")
    return Manifest(table, source=str(path), folder=path.parent)


def write_manifest(manifest: Manifest, path: Path | str) -> None:
    """Write a manifest as CSV or Parquet (by suffix), whole or not at all.

    Clips below the manifest's folder get relative paths, so that the folder can be moved.
    """
    path = Path(path)
    root = os.path.abspath(path.parent) + os.sep  # noqa: PTH100 - as in Manifest
    table = manifest.table.copy()
    table["path"] = [
        clip[len(root) :].replace(os.sep, "/") if clip.startswith(root) else clip
        for clip in table["path"]
    ]
    with atomic_path(path) as temporary:
        if path.suffix.lower() in (".parquet", ".pq"):
            table.to_parquet(temporary, index=False)
        else:
            table.to_csv(temporary, index=False, lineterminator="\n")


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:  # pyarrow's errors are ValueErrors
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: not a Parquet file that can be read: {reason}") from None


def _read_csv(path: Path) -> pd.DataFrame:
    """Read by the csv module: it keeps blank and ragged rows, which messages must count."""
    try:
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rt", newline="", encoding="utf-8-sig") as file:
            rows = list(csv.reader(file, strict=True))
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    except csv.Error as error:
        raise InputError(f"{path}: not a CSV file: {error}") from None
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot be read: {reason}") from None
    if not rows:
        raise InputError(f"{path}: is empty; the first row names the columns ({','.join(COLUMNS)})")
    header = [name.strip() for name in rows[0]]
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise InputError(f"{path}: column {twice[0]!r} occurs twice in the header; rename one")
    kept: dict[int, list[str]] = {}
    for index, row in enumerate(rows[1:]):
        if not any(row):
            continue  # a blank line, such as the last one
        if len(row) != len(header):
            raise InputError(
                f"{path}: row {index + 2} has {len(row)} values where the header has "
                f"{len(header)} columns; quote values that hold commas"
            )
        kept[index] = row
    table = pd.DataFrame(list(kept.values()), index=list(kept), columns=header, dtype=str)
    for name in header:
        if name not in COLUMNS and all(map(_NUMBER.fullmatch, table[name])):
            table[name] = pd.to_numeric(table[name])
    return table


def _plain_number(text: str) -> str:
    return f"{float(text):.12g}" if _NUMBER.fullmatch(text) else text


def _as_text(column: pd.Series) -> pd.Series:
    return column.astype(object).where(column.notna(), "").astype(str)


def _complain(table: pd.DataFrame, source: str) -> None:
    """Raise with the first few faults of a table whose columns are there."""
    faults: list[tuple[int, str, str]] = []

    def note(mask: pd.Series, column: str, reason: str) -> None:
        for index, value in table.loc[mask, column].items():
            faults.append((int(str(index)) + 2, column, reason.format(value)))

    label, attack, path = table["label"], table["attack"], table["path"]
    note(path == "", "path", "is empty")
    note(path.duplicated() & (path != ""), "path", "{0!r} occurs in an earlier row too")
    note(~label.isin([*LABELS, ""]), "label", "{0!r} is not bonafide, spoof or empty")
    note(~table["split"].isin([*SPLITS, ""]), "split", "{0!r} is not train, dev, eval or empty")
    note(
        (label == "bonafide") & (attack != ""),
        "attack",
        "{0!r} on a bonafide clip; leave it empty or make the label spoof",
    )
    if faults:
        faults.sort(key=lambda fault: fault[0])
        shown = "; ".join(f"row {row}, column {name}: {why}" for row, name, why in faults[:_SHOWN])
        more = f"; and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        raise InputError(f"{source}: {shown}{more}")


def _listed(values: Sequence[str], most: int = 20) -> str:
    shown = ", ".join(repr(value) for value in values[:most])
    return shown + (f" and {len(values) - most} more" if len(values) > most else "")
