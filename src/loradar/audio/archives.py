"""Clips inside tar and Parquet shards, addressed as if the shard were a folder.

``corpus/000003.tar/00000042.flac`` is the member ``00000042.flac`` of ``corpus/000003.tar``; in a
Parquet shard it is the row whose ``audio.path`` is that (``00000042-NAME`` where an earlier row has
that name already, ``00000042.wav`` where it has none). Wherever a clip's path is asked for, such
a path will do.
"""

from __future__ import annotations

import os
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from loradar.errors import InputError

SHARDS = (".tar", ".parquet")
AUDIO_COLUMN = "audio"
_HELD = 64  # shards whose table of contents is kept


def split_shard(path: Path | str) -> tuple[Path, str] | None:
    """Return (shard, member) of a path that lies inside a shard, None for any other.

    Examples
    --------
    >>> split_shard("/nowhere/a.wav") is None
    True
    """
    text = os.fspath(path)
    for suffix in SHARDS:
        # The dot before the slash: nearly every path is done with after one search.
        head, found, member = text.partition(f"{suffix}/")
        if found and member and os.path.isfile(head + suffix):  # noqa: PTH113
            return Path(head + suffix), member
    return None


def is_clip(path: Path | str) -> bool:
    """Whether a file, or a member of a shard, is there.

    Raises
    ------
    InputError
        The shard cannot be read.
    """
    if os.path.isfile(path):  # noqa: PTH113
        return True
    inside = split_shard(path)
    return inside is not None and inside[1] in _contents(*_version(inside[0]))


@contextmanager
def on_disk(path: Path, max_bytes: int) -> Iterator[Path]:
    """Give a file to read the clip from: itself, or a temporary copy of a shard's member.

    Raises
    ------
    InputError
        The shard cannot be read, has no such member, or the member is above ``max_bytes``; also
        what goes wrong with the copy, named as the clip.
    """
    inside = None if path.exists() else split_shard(path)
    if inside is None:
        yield path
        return
    data = member_bytes(*inside, max_bytes=max_bytes)
    with tempfile.NamedTemporaryFile(prefix="loradar-", suffix=path.suffix) as copy:
        copy.write(data)
        copy.flush()
        try:
            yield Path(copy.name)
        except InputError as error:
            raise InputError(str(error).replace(copy.name, str(path))) from None


def member_bytes(shard: Path, member: str, *, max_bytes: int) -> bytes:
    """Read one member of a shard, alone.

    Raises
    ------
    InputError
        It is not there, too large, or the shard cannot be read.
    """
    place = _contents(*_version(shard)).get(member)
    if place is None:
        raise InputError(f"{shard / member}: no such clip in this shard")
    start, size = place
    if size > max_bytes:
        raise InputError(f"{shard / member}: {size:,} bytes is above the limit of {max_bytes:,}")
    if shard.suffix == ".parquet":
        return _parquet_row(shard, start, member)
    try:
        with shard.open("rb") as file:
            file.seek(start)
            data = file.read(size)
    except OSError as error:
        raise InputError(f"{shard}: cannot be read: {error.strerror or error}") from None
    if len(data) < size:
        raise InputError(f"{shard / member}: the shard is cut off; get it again")
    return data


def members(shard: Path) -> list[str]:
    """Return the names in a shard, in its order.

    Raises
    ------
    InputError
        The shard cannot be read.
    """
    return list(_contents(*_version(shard)))


def holds_audio(path: Path) -> bool:
    """Whether a file is Parquet with embedded audio, and not a table of something else."""
    if path.suffix != ".parquet":
        return False
    try:
        _parquet(path)
    except InputError:
        return False
    return True


def _version(shard: Path) -> tuple[Path, int, int]:
    """A shard that was written anew is read anew."""
    try:
        status = shard.stat()
    except OSError as error:
        raise InputError(f"{shard}: cannot be read: {error.strerror or error}") from None
    return shard, status.st_mtime_ns, status.st_size


@lru_cache(maxsize=_HELD)
def _contents(shard: Path, changed: int, size: int) -> dict[str, tuple[int, int]]:
    """Member -> (where, bytes): offset in a tar, row in a Parquet file."""
    del changed, size
    if shard.suffix == ".parquet":
        names = _parquet(shard).read(columns=[f"{AUDIO_COLUMN}.path"]).column(0)
        flat = names.combine_chunks().field("path").to_pylist()
        found: dict[str, tuple[int, int]] = {}
        for row, name in enumerate(flat):
            own = str(name) if name else f"{row:08d}.wav"
            found[own if own not in found else f"{row:08d}-{Path(own).name}"] = (row, 0)
        return found
    try:
        with tarfile.open(shard, "r:") as tar:
            return {each.name: (each.offset_data, each.size) for each in tar if each.isreg()}
    except (OSError, tarfile.TarError) as error:
        raise InputError(f"{shard}: not a tar file that can be read: {error}") from None


def _parquet(shard: Path) -> Any:
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(shard)
        audio = file.schema_arrow.field(AUDIO_COLUMN).type
        if not {"bytes", "path"} <= {audio.field(i).name for i in range(audio.num_fields)}:
            raise KeyError("no bytes and path in its column audio")
    except (OSError, KeyError, pyarrow.ArrowException) as error:
        raise InputError(f"{shard}: not a Parquet file with embedded audio: {error}") from None
    return file


@lru_cache(maxsize=2)
def _row_group(shard: Path, changed: int, size: int, group: int) -> Any:
    del changed, size
    return _parquet(shard).read_row_group(group, columns=[AUDIO_COLUMN]).column(0)


def _parquet_row(shard: Path, row: int, member: str) -> bytes:
    version = _version(shard)
    metadata = _parquet(shard).metadata
    for group in range(metadata.num_row_groups):
        count = metadata.row_group(group).num_rows
        if row < count:
            data = _row_group(*version, group)[row].as_py()["bytes"]
            if data is None:
                break
            return bytes(data)
        row -= count
    raise InputError(f"{shard / member}: the shard holds no audio for this row")
