"""Talking to people: progress, log lines and complaints, all on standard error."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

ERRORS = Console(stderr=True, soft_wrap=True, highlight=False)
# Piped output gets room for whole tables instead of a terminal's 80 columns.
OUTPUT = Console(highlight=False, width=None if sys.stdout.isatty() else 160)


def complain(message: str) -> None:
    """Print one line about what went wrong."""
    line = " ".join(message.split())
    ERRORS.print(f"loradar: {line}", style="bold red" if ERRORS.is_terminal else None, markup=False)


def note(message: str) -> None:
    """Print one line for the person at the terminal, apart from the command's output."""
    ERRORS.print(message, markup=False)


class ProgressReporter:
    """Shows (done, total, what): a bar on a terminal, a plain line every few seconds elsewhere."""

    def __init__(self, bars: Progress | None, unit: str = "", every_s: float = 10.0) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}
        self._unit = unit
        self._every = every_s
        self._last = self._started = time.monotonic()
        self._before: dict[str, int] = {}  # what earlier runs had done already

    def __call__(self, done: int, total: int | None, what: str) -> None:
        """Report that ``done`` of ``total`` are done; None where nobody knows."""
        now = time.monotonic()
        fresh = done - self._before.setdefault(what, done - 1)
        rate = fresh / max(now - self._started, 1e-3)
        speed = f"{rate:.2f} {self._unit}/s" if self._unit else ""
        if self._bars is not None:
            if what not in self._tasks:
                self._tasks[what] = self._bars.add_task(what, total=total, speed="")
            self._bars.update(self._tasks[what], completed=done, total=total, speed=speed)
            return
        if now - self._last >= self._every:
            self._last = now
            parts = [f"{what}: {done}" if total is None else f"{what}: {done}/{total}"]
            if speed:
                parts.append(speed)
                if total is not None and fresh > 0:
                    parts.append(f"{timedelta(seconds=round((total - done) / rate))} left")
            note(", ".join(parts))


@contextmanager
def reporting(unit: str = "") -> Iterator[ProgressReporter]:
    """Give a reporter for the length of a command; log lines stand above its bars.

    With a ``unit`` it tells the speed too, in units a second.
    """
    if not ERRORS.is_terminal:
        yield ProgressReporter(None, unit)
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=ERRORS, transient=True) as bars:
        yield ProgressReporter(bars, unit)


@contextmanager
def logging_to(path: Path | None = None) -> Iterator[None]:
    """Send Loradar's log lines to the terminal, and to a file with the time of day."""
    logger = logging.getLogger("loradar")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    handlers: list[logging.Handler] = [_ConsoleHandler()]
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = logging.FileHandler(path, encoding="utf-8")
        file.setFormatter(logging.Formatter("%(asctime)s  %(message)s", "%Y-%m-%d %H:%M:%S"))
        handlers.append(file)
    for handler in handlers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            logger.removeHandler(handler)
            handler.close()


class _ConsoleHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        note(record.getMessage())


def write_output(text: str) -> None:
    """Write a line of the command's own output to standard output, unadorned.

    A reader that went away, as ``head`` does, ends the command without a complaint.
    """
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
