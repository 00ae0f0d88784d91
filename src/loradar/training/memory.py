"""How much memory a run took at most."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import torch

_MIB = 2**20


def peak_memory_mib() -> float | None:
    """Return the most memory this process has held so far, in MiB.

    On a CUDA device what PyTorch allocated there; else the resident memory of the whole process,
    libraries included. None where the system does not tell.
    """
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return float(torch.cuda.max_memory_allocated() / _MIB)
    try:
        # Not getrusage: on Linux a child starts with its parent's peak.
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
        return int(found[1]) / 1024 if found else None
    except OSError:
        return _resident_peak()


def _resident_peak() -> float | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (_MIB if sys.platform == "darwin" else 1024)
