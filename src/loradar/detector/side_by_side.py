"""A batch of windows in parts, each scored by a thread of its own.

Threads that share one product after the other wait for each other a thousand times a batch, and
all that is no product is done by one of them alone; parts of a batch never wait.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

#: Windows from which on a part is worth a thread: of fewer, each takes longer.
LEAST = 4

Scored = tuple[np.ndarray, dict[str, np.ndarray]]


def side_by_side(score: Callable[[np.ndarray], Scored], batch: np.ndarray) -> Scored:
    """Score a batch on a processor, on as many threads as torch has in this one.

    Parameters
    ----------
    score : callable
        Windows [B, S] -> scores [B], and by router the mean gates [B, E]; safe to run in several
        threads.
    batch : ndarray of float32, [B, S]
        Windows.

    Returns
    -------
    scores : ndarray, [B]
    gates : dict
        Router -> mean gates [B, E].
    """
    threads = torch.get_num_threads()
    parts = min(threads, len(batch) // LEAST)
    if parts < 2:
        return score(batch)
    try:
        # The number of threads of an operation is each thread's own.
        with ThreadPoolExecutor(parts, "score", torch.set_num_threads, (threads // parts,)) as pool:
            found = list(pool.map(score, np.array_split(batch, parts)))
    finally:
        # But also what threads begin with that are started later.
        torch.set_num_threads(threads)
    scores, gates = zip(*found, strict=True)
    return np.concatenate(scores), {
        name: np.concatenate([part[name] for part in gates]) for name in gates[0]
    }
