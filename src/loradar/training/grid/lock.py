"""A folder that one process at a time works in; the lock goes with the process, however it ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loradar.errors import InputError


class BusyError(InputError):
    """Another process works in the folder."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold ``folder`` for this process.

    Raises
    ------
    BusyError
        Another process holds it.
    """
    try:
        import fcntl
    except ImportError:  # Windows: nothing is held
        yield
        return
    with (folder / ".lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(f"{folder}: another loradar grid works here") from None
        yield
