"""The order of a stream that stays near what was read last: a shuffle buffer without a state."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray


class ShardStream:
    """An endless stream over clips that lie in shards, as a pure function of the turn.

    Each pass takes the shards in a new order and shuffles the clips within so many at a time. Any
    worker of any process can therefore take its own turns, and a resumed run the next one, and
    all read the same few shards at the same time.

    Parameters
    ----------
    rows : ndarray of int, [N]
        The clips.
    shards : sequence of str, [N]
        Where each of them lies.
    buffer : int
        Clips that are shuffled together.
    seed : tuple of int
        Of all orders.
    """

    def __init__(
        self,
        rows: NDArray[np.int64],
        shards: Sequence[str] | NDArray[np.object_],
        *,
        buffer: int,
        seed: tuple[int, ...],
    ) -> None:
        self._rows = np.asarray(rows, np.int64)
        _, self._shard = np.unique(np.asarray(shards, str), return_inverse=True)
        self._buffer = buffer
        self._seed = seed
        self._order: tuple[int, NDArray[np.int64]] | None = None

    def row(self, turn: int) -> int:
        """Return the clip at ``turn``, from 0; a pass over all clips takes N turns."""
        epoch, index = divmod(turn, len(self._rows))
        if self._order is None or self._order[0] != epoch:
            self._order = (epoch, self._of_pass(epoch))
        return int(self._order[1][index])

    def _of_pass(self, epoch: int) -> NDArray[np.int64]:
        rng = np.random.default_rng((*self._seed, epoch))
        place = rng.permutation(int(self._shard.max()) + 1)
        order = np.argsort(place[self._shard], kind="stable")
        # A start of its own each pass: the buffers' borders fall elsewhere.
        first = int(rng.integers(1, self._buffer + 1))
        borders = [0, *range(first, len(order), self._buffer), len(order)]
        for start, end in pairwise(borders):
            rng.shuffle(order[start:end])
        return self._rows[order]
