"""Augmented draws that several runs share: the first to need one makes it, the others read it.

Runs of a grid that differ in the model alone draw the same clips in the same order. With many runs
on one accelerator, reading and augmenting would otherwise be most of the work.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loradar.errors import ConfigError, InputError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_READY = 1
#: Of the samples that are kept: what training reads, so that nothing is rounded.
_SAMPLE = np.dtype(np.float32)


class SharedDraws:
    """The draws of one stream, in a file that is mapped by every process that reads them.

    A draw is a pure function of its position, so it makes no difference who makes it. Each is
    made under a lock of its own: processes that need the same batch at the same time make
    different draws of it and wait for the rest. A process that dies leaves its draw to the next.

    Parameters
    ----------
    folder : Path
        Where the files are, best in memory (``/dev/shm``): a draw of 2.8 s takes 179 kB.
    key : str
        Says which stream it is, see `stream_key`.
    length : int
        Draws of this run. Runs of one stream may be of different lengths.
    window : int
        Samples of a draw.

    Raises
    ------
    ConfigError
        The system has no locks on parts of a file.
    InputError
        The files cannot be made.
    """

    def __init__(self, folder: Path, key: str, *, length: int, window: int) -> None:
        if fcntl is None:
            raise ConfigError("draws can be shared on POSIX systems only: leave --share-draws out")
        self.samples_path = folder / f"{key}.float32"
        self.ready_path = folder / f"{key}.ready"
        self.length, self.window = length, window
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for path, size in (
                (self.samples_path, length * window * _SAMPLE.itemsize),
                (self.ready_path, length),
            ):
                _grow(path, size)
        except OSError as error:
            raise InputError(f"{folder}: draws cannot be kept here: {error.strerror}") from None
        self._opened: tuple[int, int, NDArray[np.float32], mmap.mmap] | None = None

    def fill(self, positions: Sequence[int], make: Callable[[int], NDArray[np.float32]]) -> None:
        """Have the draws at ``positions`` ready, made here or by another process.

        Parameters
        ----------
        positions : sequence of int
            From 0 to ``length - 1``.
        make : callable
            Returns the draw at a position, float32 [window].
        """
        _, _, ready = self._files()
        # Each process begins elsewhere, so that they seldom want the same one.
        start = os.getpid() % max(1, len(positions))
        turned = [*positions[start:], *positions[:start]]
        left = [at for at in turned if ready[at] != _READY and not self._make(at, make, wait=False)]
        for at in left:
            if ready[at] != _READY:
                self._make(at, make, wait=True)

    def __getitem__(self, position: int) -> NDArray[np.float32]:
        """Return the draw at a position that is ready: a copy, float32 [window]."""
        _, samples, _ = self._files()
        return np.array(samples[position])

    def _make(self, at: int, make: Callable[[int], NDArray[np.float32]], *, wait: bool) -> bool:
        """Make one draw under its lock; False when another process is at it, unless to wait."""
        handle, samples, ready = self._files()
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB), 1, at)
        except BlockingIOError:
            return False
        try:
            if ready[at] != _READY:
                samples[at] = make(at)
                ready[at] = _READY  # last: who sees it sees the samples
        finally:
            fcntl.lockf(handle, fcntl.LOCK_UN, 1, at)
        return True

    def _files(self) -> tuple[int, NDArray[np.float32], mmap.mmap]:
        """Return the open file of the locks, and both maps, of this process.

        A process that was forked opens its own: locks are not inherited, and closing any handle on
        the file would drop them.
        """
        if self._opened is None or self._opened[0] != os.getpid():
            handle = os.open(self.ready_path, os.O_RDWR)
            ready = mmap.mmap(handle, self.length)
            samples = np.memmap(self.samples_path, _SAMPLE, "r+", shape=(self.length, self.window))
            self._opened = (os.getpid(), handle, samples, ready)
        return self._opened[1:]

    def __getstate__(self) -> dict[str, Any]:
        """Leave open files behind: processes that start anew open their own."""
        return {**self.__dict__, "_opened": None}


def _grow(path: Path, size: int) -> None:
    """Make a file at least so long; what is in it stays.

    Its room is taken now: a map of a file that finds none later ends the process by a signal.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_size < size:
            os.posix_fallocate(handle, 0, size)
    finally:
        os.close(handle)


def stream_key(values: dict[str, Any], files: Sequence[str]) -> str:
    """Return a name of a stream of draws: all that they depend on, as SHA-256.

    Parameters
    ----------
    values : dict
        Sections of the recipe and seeds, as JSON has them.
    files : sequence of str
        The clips, in the order of the plan. Their sizes and times count too.
    """
    told = hashlib.sha256(json.dumps(values, sort_keys=True).encode())
    for name in files:
        state = Path(name).stat() if Path(name).exists() else None
        about = (name, None, None) if state is None else (name, state.st_size, state.st_mtime_ns)
        told.update(repr(about).encode("utf-8", "surrogateescape"))
    return told.hexdigest()[:24]
