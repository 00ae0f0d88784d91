"""How many processes read and augment clips beside a training process."""

from __future__ import annotations

import multiprocessing
import os
from typing import Literal

import torch

#: With an accelerator a step is short; more than so many readers rarely help one process.
MOST = 4


def reading_processes(asked: int | Literal["auto"]) -> int:
    """Return how many processes are to read.

    ``auto`` is one, or up to `MOST` with an accelerator, where a core is left for them and
    processes are forked: then they start at once and share the clips that are held in memory. It
    is none on one core, in a process that may start no others, and where processes start anew
    (macOS, Windows): there each would import torch and copy the held clips at every evaluation,
    and a script without ``if __name__ == "__main__"`` would fail. Name a number to have it so.

    Parameters
    ----------
    asked : int or "auto"
        ``data.workers`` of a recipe.
    """
    if asked != "auto":
        return asked
    # Asking without allow_none would fix the method for the whole program; the default comes first.
    chosen = multiprocessing.get_start_method(allow_none=True)
    starts = chosen or multiprocessing.get_all_start_methods()[0]
    if starts != "fork" or multiprocessing.current_process().daemon:
        return 0
    # torchrun starts several processes on one machine.
    spare = usable_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1")) - 1
    return max(0, min(spare, MOST if torch.accelerator.is_available() else 1))


def usable_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
