"""Work spread over processes, each with one thread, so that results never hang on their number."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for
from typing import TypeVar

from loradar.errors import LoradarError

T = TypeVar("T")
R = TypeVar("R")

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_QUEUED = 4  # jobs a worker that are handed out ahead


def spread(
    work: Callable[[T], R], jobs: Iterable[T], workers: int, *, crashed: Callable[[T], R]
) -> Generator[tuple[T, R], None, None]:
    """Yield each job with its result, as they are done; in this process when ``workers`` is 1.

    Closing the iterator, or an error such as Ctrl-C in it, ends the processes at once.

    Parameters
    ----------
    work : callable
        A function that can be pickled.
    jobs : iterable
        Handed out as they are needed, so there may be millions.
    workers : int
        Processes.
    crashed : callable
        Gives the result of a job that brings its process down (a decoder's crash, lack of
        memory), twice: at first among others, then alone.

    Raises
    ------
    LoradarError
        No process can work at all.
    """
    if workers <= 1:
        with _one_torch_thread():
            for job in jobs:
                yield job, work(job)
        return
    remaining = iter(jobs)
    with _one_thread():
        while True:
            waiting: dict[Future[R], T] = {}
            try:
                yield from _pooled(work, remaining, workers, waiting)
                return
            except BrokenProcessPool:
                suspects = list(waiting.values())
            survived = 0
            for job in suspects:
                try:
                    result = next(_pooled(work, iter([job]), 1, {}))[1]
                    survived += 1
                except BrokenProcessPool:
                    result = crashed(job)
                yield job, result
            if len(suspects) > 1 and not survived:
                raise LoradarError(
                    "worker processes die at once: give --workers 1 to see why, and in a script "
                    "call this below `if __name__ == '__main__':`"
                )


def _pooled(
    work: Callable[[T], R], jobs: Iterator[T], workers: int, waiting: dict[Future[R], T]
) -> Generator[tuple[T, R], None, None]:
    """Work by a new pool; ``waiting`` holds what it was given and has not yielded."""
    # Spawned, since forking a process that runs threads (torch) may hang.
    context = multiprocessing.get_context("spawn")
    alive, ours = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start, initargs=(alive,))
    try:
        while True:
            with _interrupts_held_back():
                for job in islice(jobs, _QUEUED * workers - len(waiting)):
                    waiting[pool.submit(work, job)] = job
            if not waiting:
                return
            for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                result = future.result()
                yield waiting.pop(future), result
    except BaseException:
        # Nobody waits for what is being made: workers end when their line to us does.
        ours.close()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        ours.close()
        alive.close()


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Let Ctrl-C wait: it would leave a pool half started, and new processes inherit the block."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Tell the processes started meanwhile to use one thread each."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _one_torch_thread() -> Iterator[None]:
    """Hold torch, where it is loaded, to one thread in this process: as in the others."""
    torch = sys.modules.get("torch")
    threads = torch.get_num_threads() if torch else 0
    if torch:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        if torch:
            torch.set_num_threads(threads)


def _start(alive: Connection) -> None:
    """Prepare a worker: Ctrl-C is the parent's business, and without a parent there is no work."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(alive,), daemon=True).start()


def _end_with(alive: Connection) -> None:
    # The line ends when the parent closes it, or was killed: nothing is ever sent on it.
    wait_for([alive])
    os._exit(1)
