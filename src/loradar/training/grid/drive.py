"""All runs of a grid, a few processes at once; whatever is done already stays done."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from loradar.errors import ConfigError, InputError
from loradar.evaluation.compare.runs import (
    CELL,
    FAILED,
    RUNS,
    SUITE,
    Run,
    read_run,
    runs_frame,
)
from loradar.files import atomic_path, write_json
from loradar.training.grid.lock import locked
from loradar.training.grid.plan import Cell

Progress = Callable[[int, int, str], None]
Command = Callable[[Path], list[str]]
LOG = "cell.log"
BUSY = 3
logger = logging.getLogger("loradar.training")


def cell_command(folder: Path) -> list[str]:
    """Return the command that makes the run in ``folder``."""
    return [sys.executable, "-m", "loradar.training.grid.cell", str(folder)]


def status_of(cells: Sequence[Cell], root: Path) -> list[Run]:
    """Return what there is of each run, without touching anything.

    Raises
    ------
    ConfigError
        A run is there that was made by another recipe, suite or table.
    """
    runs = []
    for cell in cells:
        folder = cell.folder(root)
        if not (folder / CELL).exists():
            runs.append(Run(cell.variant, cell.fold, cell.seed, cell.kind, folder))
            continue
        run = read_run(folder)
        begun = run.status in ("done", "half-finished")
        if begun and json.loads((folder / CELL).read_text(encoding="utf-8")) != cell.to_dict():
            raise ConfigError(
                f"{folder} was made with another recipe, suite or table than the grid now gives "
                f"{run.name}: remove that folder, or give another -o FOLDER"
            )
        runs.append(run)
    return runs


def run_grid(
    cells: Sequence[Cell],
    root: Path,
    *,
    jobs: int = 1,
    command: Command | None = None,
    progress: Progress | None = None,
    share_draws: Path | None = None,
) -> list[Run]:
    """Make every run of a grid that is not done yet.

    A run that was interrupted goes on from its last checkpoint, one that failed is tried again.
    A failure is recorded and the rest go on. ``runs.csv`` is kept up to date.

    Parameters
    ----------
    cells : sequence of Cell
        The runs.
    root : Path
        The grid's folder.
    jobs : int
        Processes at once. Unless OMP_NUM_THREADS is set, they share the processor's cores.
    command : callable, optional
        Gives the command line that makes the run of a folder. Default: `cell_command`.
    progress : callable, optional
        Called with (done, total, what).
    share_draws : Path, optional
        A folder, best in memory, in which runs of one fold and seed leave augmented clips for each
        other (`loradar.training.shared_draws`), until the last of them is done.

    Returns
    -------
    list of Run
        In the order of ``cells``.

    Raises
    ------
    ConfigError
        As `status_of`.
    BusyError
        Another process works in ``root``.
    """
    status_of(cells, root)
    root.mkdir(parents=True, exist_ok=True)
    with locked(root):
        waiting = [c for c, run in zip(cells, status_of(cells, root), strict=True)
                   if run.status != "done"]  # fmt: skip
        done = len(cells) - len(waiting)
        running: list[_Work] = []
        environment = _environment(jobs)
        draws = _Draws(share_draws)
        try:
            while waiting or running:
                while waiting and len(running) < jobs:
                    cell = waiting.pop(0)
                    line = [*(command or cell_command)(cell.folder(root)), *draws.of(cell)]
                    running.append(_start(cell, root, line, environment))
                ended = [work for work in running if work.process.poll() is not None]
                for work in ended:
                    running.remove(work)
                    _finish(work)
                    draws.keep([*waiting, *(other.cell for other in running)])
                    done += 1
                    write_runs(cells, root)
                    if progress is not None:
                        progress(done, len(cells), "runs")
                if not ended:
                    time.sleep(0.05)
        finally:
            for work in running:
                work.process.terminate()
            for work in running:
                work.process.wait()
                work.log.close()
            draws.keep([])
            write_runs(cells, root)
        return status_of(cells, root)


def write_runs(cells: Sequence[Cell], root: Path) -> None:
    """Write ``runs.csv``, one row a run."""
    with atomic_path(root / RUNS) as temporary:
        runs_frame(status_of(cells, root), root).to_csv(temporary, index=False)


class _Draws:
    """Folders of shared draws, one a fold and seed, as long as a run may want them."""

    def __init__(self, parent: Path | None) -> None:
        self._root: Path | None = None
        if parent is not None:
            try:
                parent.mkdir(parents=True, exist_ok=True)
                self._root = Path(tempfile.mkdtemp(prefix="loradar-draws-", dir=parent))
            except OSError as error:
                raise InputError(
                    f"{parent}: draws cannot be kept here: {error.strerror or error}"
                ) from None

    def of(self, cell: Cell) -> list[str]:
        """Return the argument that tells a run where its draws are."""
        if self._root is None or cell.kind != "train":
            return []
        return [str(self._root / f"{cell.fold}-{cell.seed}")]

    def keep(self, cells: Sequence[Cell]) -> None:
        """Remove what none of ``cells`` will ask for; with none of them, everything."""
        if self._root is None or not self._root.exists():
            return
        wanted = {name for cell in cells for name in self.of(cell)}
        for folder in self._root.iterdir():
            if str(folder) not in wanted:
                shutil.rmtree(folder, ignore_errors=True)
        if not cells:
            self._root.rmdir()


@dataclass(frozen=True)
class _Work:
    cell: Cell
    folder: Path
    process: subprocess.Popen[bytes]
    log: IO[bytes]
    started: float


def _start(cell: Cell, root: Path, line: list[str], environment: dict[str, str]) -> _Work:
    folder = cell.folder(root)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FAILED).unlink(missing_ok=True)
    write_json(folder / CELL, cell.to_dict())
    log = (folder / LOG).open("ab")
    logger.info("%s/%s/%s: started", cell.variant, cell.fold, cell.seed)
    process = subprocess.Popen(
        line, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
    )
    return _Work(cell, folder, process, log, time.monotonic())


def _finish(work: _Work) -> None:
    """Tell how a run ended, and record it where the run itself could not."""
    work.log.close()
    code = work.process.returncode
    if code not in (0, BUSY) and not (work.folder / FAILED).exists():
        write_json(work.folder / FAILED, {"reason": _reason(code)})
    if code == 0 and not (work.folder / SUITE).exists():
        write_json(work.folder / FAILED, {"reason": f"ended without {SUITE}"})
    run = read_run(work.folder)
    if run.status == "done":
        average = run.report["matched"]["ood_average"]["eer_tie_safe"]
        minutes = (time.monotonic() - work.started) / 60
        logger.info("%s: OOD %.1f %%, %.1f min", run.name, 100 * average, minutes)
    elif code == BUSY:
        logger.info("%s: another process is at it", run.name)
    else:
        logger.info("%s: failed: %s (%s)", run.name, run.reason, work.folder / LOG)


def _reason(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
    return f"killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")


def _environment(jobs: int) -> dict[str, str]:
    threads = max(1, (os.cpu_count() or 1) // jobs)
    return {"OMP_NUM_THREADS": str(threads), **os.environ}
