"""Writing files whole: to a temporary name beside the target, then renamed."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from loradar.errors import InputError

# What writing fails with when the disk is full, over quota or broken.
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO)


@contextmanager
def atomic_path(target: Path | str) -> Iterator[Path]:
    """Give a temporary path beside ``target`` and rename it onto ``target`` on success.

    Parameters
    ----------
    target : Path or str
        The file to write. Its folder is created when missing.

    Yields
    ------
    Path
        The temporary path; it has the target's suffix, for writers that go by it.

    Raises
    ------
    InputError
        The target cannot be written.
    """
    target = Path(target)
    check_writable(target)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=_hidden(target), suffix=target.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes files for the owner alone; results are as readable as any other file.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(target)
    except OSError as error:
        if error.errno not in _DISK:
            raise  # of something else that the caller reads or writes meanwhile
        raise InputError(f"{target}: cannot be written: {error.strerror}") from None
    finally:
        temporary.unlink(missing_ok=True)


def _hidden(target: Path) -> str:
    """Start of a temporary name; short, since the target's own may be as long as names can be."""
    return f".{target.stem[:32]}-"


def check_writable(target: Path | str) -> None:
    """Find out now, not after an hour's work, whether ``target`` can be written.

    Raises
    ------
    InputError
        It cannot; names the target and the reason.
    """
    target = Path(target)
    try:
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=_hidden(target)):
            pass
    except OSError as error:
        raise InputError(f"{target}: cannot be written: {error.strerror or error}") from None


def write_text(target: Path | str, text: str) -> None:
    """Write ``text`` (UTF-8) to ``target``, whole or not at all."""
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(target: Path | str, value: Any) -> None:
    """Write ``value`` as indented JSON to ``target``, whole or not at all."""
    write_text(target, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def sha256_of(path: Path | str) -> str:
    """Return the SHA-256 of a file as hexadecimal text."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
