"""Corpora as few large files: WebDataset tar shards, or Parquet with embedded audio."""

from __future__ import annotations

import io
import json
import os
import re
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from loradar.audio.archives import (
    AUDIO_COLUMN,
    SHARDS,
    holds_audio,
    member_bytes,
    members,
    split_shard,
)
from loradar.audio.reading import AUDIO_SUFFIXES, MAX_BYTES
from loradar.corpora.labels import SPLIT_WORDS, label_of, with_notes
from loradar.corpora.manifest import Manifest, write_manifest
from loradar.errors import ConfigError, InputError
from loradar.files import atomic_path

FORMATS = ("tar", "parquet")
SHARD_BYTES = 512 * 1024**2
_ROWS = 32  # of a Parquet row group: what is read at once for one clip
_JSON_BYTES = 1024**2

Progress = Callable[[int, int, str], None]
Sample = tuple[str, bytes, dict[str, object]]


@dataclass(frozen=True)
class Sharded:
    """What was written: the manifest of the shards, their number, and bytes of audio."""

    manifest: Manifest
    shards: int
    size: int


def write_shards(
    manifest: Manifest,
    out: Path | str,
    *,
    form: str = "tar",
    shard_bytes: int = SHARD_BYTES,
    seed: int | None = 0,
    progress: Progress | None = None,
) -> Sharded:
    """Copy the clips, as they are stored, into shards, with ``manifest.csv`` beside them.

    A sample of a tar shard is ``00000042.flac`` (the file) and ``00000042.json`` (the manifest's
    row), as WebDataset wants it. A Parquet shard has the manifest's columns and ``audio``, a
    struct of ``bytes`` and ``path``, as the Hugging Face hub wants it.

    Parameters
    ----------
    manifest : Manifest
        The clips; every file must be there.
    out : Path or str
        A folder that holds no shards yet.
    form : {"tar", "parquet"}
        What to write.
    shard_bytes : int
        A shard is closed when it holds this much audio.
    seed : int or None
        Shuffles the clips, so that every shard holds both classes; None keeps their order.
    progress : callable, optional
        Called with (done, total, what).

    Returns
    -------
    Sharded
        The paths of its manifest lie inside the shards. ``source`` keeps the original's.

    Raises
    ------
    ConfigError
        There is no such format.
    InputError
        A clip is missing, or the folder holds shards.
    """
    _check_target(Path(out), form)
    missing = manifest.check_files()
    if missing:
        raise InputError(f"{missing[0]}: no such file ({len(missing)} clips are missing)")
    table = manifest.table
    if seed is not None:
        table = table.iloc[np.random.default_rng(seed).permutation(len(table))]

    def samples() -> Iterator[Sample]:
        for done, row in enumerate(table.to_dict("records"), start=1):
            path = str(row["path"])
            yield path, _stored_bytes(path), {str(k): v for k, v in row.items() if k != "path"}
            if progress is not None:
                progress(done, len(table), "writing shards")

    return write_samples(samples(), out, form=form, shard_bytes=shard_bytes)


def write_samples(
    samples: Iterable[Sample], out: Path | str, *, form: str = "tar", shard_bytes: int = SHARD_BYTES
) -> Sharded:
    """Write (name, file, row) samples as they come; see `write_shards`.

    Raises
    ------
    ConfigError
        There is no such format.
    InputError
        There are no samples, or the folder holds shards.
    """
    out = Path(out)
    _check_target(out, form)
    rows: list[dict[str, object]] = []
    size, count = 0, 0
    remaining = iter(samples)
    pending = next(remaining, None)
    while pending is not None:
        name = f"shard-{count:06d}.{form}"
        with atomic_path(out / name) as temporary, _WRITERS[form](temporary) as writer:
            held = 0
            while pending is not None and held < shard_bytes:
                path, data, row = pending
                member = f"{len(rows):08d}{Path(path).suffix.lower()}"
                kept = {"source_path": path, **{key: _plain(value) for key, value in row.items()}}
                writer.add(member, data, kept)
                rows.append({"path": str(out.absolute() / name / member), **kept})
                held += len(data)
                pending = next(remaining, None)
        size, count = size + held, count + 1
    if not rows:
        raise InputError(f"{out}: nothing to write: there are no clips")
    sharded = Manifest(pd.DataFrame(rows), source=str(out))
    write_manifest(sharded, out / "manifest.csv")
    return Sharded(sharded, count, size)


def _check_target(out: Path, form: str) -> None:
    if form not in FORMATS:
        raise ConfigError(f"no shard format is called {form!r}; there are {', '.join(FORMATS)}")
    if shards_of(out):
        raise InputError(f"{out}: holds shards already; give another folder or remove them")


def shards_of(folder: Path) -> list[Path]:
    """Return the shards in a folder, in order."""
    return sorted(path for path in folder.glob("*") if path.suffix in SHARDS and path.is_file())


def shards(root: Path | str) -> Manifest:
    """Read shards of one's own or of others as a manifest.

    Parameters
    ----------
    root : Path or str
        A folder of ``*.tar`` or ``*.parquet`` (right in it, else at any depth), or one of them. In
        a tar the labels come from ``KEY.json`` beside ``KEY.flac``, in Parquet from the columns
        beside ``audio``; labels in the usual words (real, fake, ...) and splits (validation,
        test, ...) will do.

    Returns
    -------
    Manifest
        Paths that lie inside the shards; everything that reads clips reads them.

    Raises
    ------
    InputError
        There is no shard, or one cannot be read.
    """
    root = Path(root)
    found = [root] if root.is_file() else shards_of(root)
    if not found:
        found = [path for name in SHARDS for path in sorted(root.rglob(f"*{name}"))]
    if not root.is_file():
        # Tables without sound, such as labels.parquet, lie beside shards.
        found = [path for path in found if path.suffix == ".tar" or holds_audio(path)]
    if not found:
        raise InputError(f"{root}: no shards: *.tar or *.parquet is not there")
    rows = [row for shard in found for row in _rows(shard)]
    if not rows:
        raise InputError(f"{root}: its {len(found)} shards hold no audio")
    table = pd.DataFrame(rows)
    table = table.astype(object).where(table.notna(), "")
    return Manifest(table, source=str(root))


def shard_names(paths: Sequence[str]) -> list[str]:
    """Return what each clip lies in: its shard, or its folder."""
    inside = re.compile(r"(.*?\.(?:tar|parquet))/")
    return [
        match[1] if (match := inside.match(path)) else os.path.dirname(path)  # noqa: PTH120
        for path in paths
    ]


def _rows(shard: Path) -> Iterator[dict[str, Any]]:
    rows = _parquet_rows(shard) if shard.suffix == ".parquet" else _tar_rows(shard)
    for name, given, classes in rows:
        row = with_notes(given)
        split = str(row.get("split") or "").lower()
        label = label_of(row.get("label"), classes, f"{shard}/{name}")
        found = {
            **_texts(row),
            "path": f"{shard.absolute()}/{name}",
            "label": label,
            "split": SPLIT_WORDS.get(split, split),
        }
        # Lists of trials fill this place for real speech too, with "-" or "bonafide".
        yield {**found, "attack": ""} if label == "bonafide" else found


def _parquet_rows(shard: Path) -> Iterator[tuple[str, dict[str, Any], list[str] | None]]:
    """Yield each clip's name and row, and what its whole-numbered labels stand for."""
    import pyarrow.parquet

    names = members(shard)
    schema = pyarrow.parquet.read_schema(shard)
    columns = [name for name in schema.names if name != AUDIO_COLUMN]
    others = pyarrow.parquet.read_table(shard, columns=columns).to_pylist()
    classes = _class_names((schema.metadata or {}).get(b"huggingface", b""))
    for name, other in zip(names, others, strict=True):
        yield name, other, classes


def _class_names(note: bytes) -> list[str] | None:
    """Read what labels stand for from the note that the hub's library leaves in Parquet files."""
    try:
        names = json.loads(note)["info"]["features"]["label"]["names"]
    except (ValueError, KeyError, TypeError):
        return None
    return [str(name) for name in names] if isinstance(names, list) else None


def _tar_rows(shard: Path) -> Iterator[tuple[str, dict[str, Any], None]]:
    names = members(shard)
    known = set(names)
    for name in names:
        stem, suffix = os.path.splitext(name)  # noqa: PTH122
        if suffix.lower() not in AUDIO_SUFFIXES:
            continue
        row: dict[str, Any] = {}
        if f"{stem}.json" in known:
            try:
                row = json.loads(member_bytes(shard, f"{stem}.json", max_bytes=_JSON_BYTES))
            except ValueError:
                raise InputError(f"{shard}/{stem}.json: not JSON; make the shard again") from None
        if not isinstance(row, dict):
            raise InputError(f"{shard}/{stem}.json: not an object of columns")
        yield name, row, None


def _texts(row: dict[str, Any]) -> dict[str, Any]:
    """The columns that a manifest has as text; nested values as JSON."""
    return {
        key: json.dumps(value) if isinstance(value, dict | list) else value
        for key, value in row.items()
        if key not in ("path", AUDIO_COLUMN)
    }


def _stored_bytes(path: str) -> bytes:
    inside = None if Path(path).is_file() else split_shard(path)
    try:
        if inside is not None:
            return member_bytes(*inside, max_bytes=MAX_BYTES)
        return Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None


def _plain(value: object) -> object:
    return value.item() if isinstance(value, np.generic) else value


class _TarWriter:
    def __init__(self, path: Path) -> None:
        self._tar = tarfile.open(path, "w")  # noqa: SIM115 - closed by __exit__

    def __enter__(self) -> _TarWriter:
        return self

    def __exit__(self, *exception: object) -> None:
        self._tar.close()

    def add(self, member: str, data: bytes, row: dict[str, object]) -> None:
        stem = member.partition(".")[0]
        self._put(member, data)
        self._put(f"{stem}.json", json.dumps(row, ensure_ascii=False).encode())

    def _put(self, name: str, data: bytes) -> None:
        # No owner and no time: equal corpora give equal shards.
        entry = tarfile.TarInfo(name)
        entry.size = len(data)
        self._tar.addfile(entry, io.BytesIO(data))


class _ParquetWriter:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: Any = None
        self._rows: list[dict[str, object]] = []

    def __enter__(self) -> _ParquetWriter:
        return self

    def __exit__(self, *exception: object) -> None:
        if exception[0] is None:
            self._flush()
        if self._writer is not None:
            self._writer.close()

    def add(self, member: str, data: bytes, row: dict[str, object]) -> None:
        self._rows.append({AUDIO_COLUMN: {"bytes": data, "path": member}, **row})
        if len(self._rows) == _ROWS:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        if not self._rows:
            return
        if self._writer is None:
            self._schema = _schema(self._rows[0])
            # Audio is compressed already, or should stay as it is.
            self._writer = pq.ParquetWriter(self._path, self._schema, compression="none")
        self._writer.write_table(pa.Table.from_pylist(self._rows, self._schema))
        self._rows = []


def _schema(row: dict[str, object]) -> Any:
    """Arrow types, and the note by which the hub's library knows an audio column."""
    import pyarrow as pa

    kinds = {
        bool: (pa.bool_(), "bool"),
        int: (pa.int64(), "int64"),
        float: (pa.float64(), "float64"),
    }
    types = [(AUDIO_COLUMN, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))]
    features: dict[str, object] = {AUDIO_COLUMN: {"_type": "Audio"}}
    for name, value in row.items():
        if name == AUDIO_COLUMN:
            continue
        kind, word = kinds.get(type(value), (pa.string(), "string"))
        types.append((name, kind))
        features[name] = {"dtype": word, "_type": "Value"}
    note = json.dumps({"info": {"features": features}})
    return pa.schema(types, metadata={"huggingface": note})


_WRITERS: dict[str, Callable[[Path], Any]] = {"tar": _TarWriter, "parquet": _ParquetWriter}
