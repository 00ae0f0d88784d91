"""``loradar grid``."""

from __future__ import annotations

import signal
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

import typer

if TYPE_CHECKING:
    from loradar.evaluation.compare.runs import Run


def grid(
    plan: Path = typer.Argument(..., help="Grid (YAML): variants, folds, seeds.", metavar="GRID"),
    out: Path | None = typer.Option(
        None,
        "-o",
        "--out",
        metavar="FOLDER",
        help="Folder of the runs. Default: runs/NAME-OF-GRID.",
    ),
    jobs: int = typer.Option(1, "--jobs", min=1, help="Runs at once."),
    share_draws: Path | None = typer.Option(
        None,
        "--share-draws",
        metavar="FOLDER",
        help="Augment each clip once for all variants of a fold and seed: best with many --jobs on "
        "one GPU, FOLDER in memory (/dev/shm). Room: draws x window x 4 bytes a fold and seed.",
    ),
    dry_run: bool = typer.Option(False, "--dry-run", help="List the runs and how far they are."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON instead of a table."),
) -> None:
    """Train and score every variant on every fold with every seed; compare with `loradar compare`.

    Call it again to go on: runs that are done are kept, one that was interrupted resumes, one that
    failed is tried again. Writes FOLDER/runs.csv, one row a run.

    Example: `loradar grid recipes/grids/mini.yaml -o runs/mini --jobs 2`
    """
    from loradar.cli.console import OUTPUT, logging_to, note, reporting, write_output
    from loradar.evaluation.compare.runs import RUNS, runs_frame
    from loradar.evaluation.compare.tables import runs_text
    from loradar.evaluation.table import rich_table
    from loradar.training.grid.drive import run_grid, status_of
    from loradar.training.grid.plan import read_grid

    cells = read_grid(plan)
    folder = out or Path("runs") / plan.stem
    if dry_run:
        runs = status_of(cells, folder)
    else:
        signal.signal(signal.SIGTERM, _interrupt)
        with reporting() as progress, logging_to(folder / "grid.log"):
            runs = run_grid(cells, folder, jobs=jobs, progress=progress, share_draws=share_draws)
    frame = runs_frame(runs, folder)
    if as_json:
        write_output(frame.to_json(orient="records"))
    else:
        OUTPUT.print(rich_table(runs_text(frame), str(plan), _counts(runs)))
    if dry_run:
        return
    note(f"wrote {folder / RUNS}")
    for run in runs:
        if run.status == "failed":
            note(f"{run.name} failed: {run.reason}")
    done = sum(run.status == "done" for run in runs)
    if done < len(runs):
        raise typer.Exit(1 if done else 2)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    """End as Ctrl-C does, so that the runs' processes do not outlive this one."""
    raise KeyboardInterrupt


def _counts(runs: list[Run]) -> str:
    """Say how many runs are how far."""
    states = [run.status for run in runs]
    found = {state: states.count(state) for state in dict.fromkeys(states)}
    return ", ".join(f"{count} {state}" for state, count in found.items())
