"""What is asked of the system's memory allocator, once, when a command starts."""

from __future__ import annotations

import ctypes
import os
import sys

#: Parameters of glibc's ``mallopt`` (malloc.h), and environment variables that decide on them.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
_DECIDED = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_MAX_", "MALLOC_MMAP_THRESHOLD_")


def keep_freed_memory() -> bool:
    """Let glibc keep what is freed for what is asked for next.

    By default it maps each large block anew and unmaps it when freed, and the kernel fills every
    page with zeros again: a fifth of the time of a detector whose tensors come and go in the same
    sizes. The most that is held stays the same within 2 %.

    Returns
    -------
    bool
        Whether it was done: not with another allocator, nor where the environment decides.
    """
    if not sys.platform.startswith("linux"):
        return False
    if any(name in os.environ for name in (*_DECIDED, "GLIBC_TUNABLES", "LD_PRELOAD")):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # musl has none
        return False
    return bool(mallopt(_MMAP_MAX, 0)) and bool(mallopt(_TRIM_THRESHOLD, 2**31 - 1))
