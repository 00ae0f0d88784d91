"""Which clip comes next: a plan of draws that is a pure function of (seed, epoch, index)."""

from __future__ import annotations

import numpy as np
import pandas as pd

from loradar.corpora.shards import shard_names
from loradar.detector.model import BONAFIDE, SPOOF
from loradar.errors import InputError
from loradar.training.recipe import DataConfig
from loradar.training.sharding import ShardStream

_CHOICE = 1  # stream of a mixed plan's choices, apart from the plans' own draws


def class_indices(table: pd.DataFrame, what: str) -> np.ndarray:
    """Return the class of each clip, [N] int64: 1 bona fide, 0 spoof.

    Parameters
    ----------
    table : DataFrame
        Column ``label``.
    what : str
        What the message calls the set.

    Raises
    ------
    InputError
        A clip has no label.
    """
    labels = table["label"].to_numpy(object)
    unknown = np.flatnonzero(~np.isin(labels, ["bonafide", "spoof"]))
    if len(unknown):
        first = table["path"].iloc[int(unknown[0])] if "path" in table else f"row {unknown[0] + 1}"
        raise InputError(
            f"{len(unknown)} {what} clips have no label (first: {first}): "
            "label them, or leave them out of the recipe's data section"
        )
    return np.where(labels == "bonafide", BONAFIDE, SPOOF).astype(np.int64)


class DrawPlan:
    """Says which training clip stands at each position of an endless stream of draws.

    Parameters
    ----------
    table : DataFrame
        The training clips: columns ``label`` (bonafide or spoof) and ``corpus``.
    balance : {"none", "class", "corpus", "pair"}
        See `DataConfig`; ``pair`` needs the column ``pair_id``.
    single_class : {"keep", "drop"}
        For ``corpus``: whether corpora that hold one class alone are drawn from at all.
    seed : int
        The run's seed.
    even : str, optional
        A column whose values are drawn equally often among the spoofed clips of each corpus (or of
        all); not with ``none`` or a buffer.
    buffer : int
        Not 0: stream the clips shard by shard, shuffled within so many at a time; needs the
        column ``path``, and ``none`` or ``class`` as balance.

    Raises
    ------
    InputError
        A class is missing; no corpus holds both classes, with ``single_class = drop``; a spoofed
        clip has no bona fide clip of its pair, with ``balance = pair``.
    """

    def __init__(
        self,
        table: pd.DataFrame,
        *,
        balance: str,
        single_class: str = "keep",
        even: str | None = None,
        seed: int = 0,
        buffer: int = 0,
    ) -> None:
        self.seed = seed
        self.balance = balance
        self.labels = class_indices(table, "training")
        self.clips = len(table)
        for value, name in ((SPOOF, "spoof"), (BONAFIDE, "bona fide")):
            if not (self.labels == value).any():
                raise InputError(f"the training set holds no {name} clip: check data.train")
        self._order: tuple[int, np.ndarray] | None = None
        self._pools: dict[int, list[tuple[float, np.ndarray]]] = {}
        self._source = _sources(table, self.labels) if balance == "pair" else None
        if balance != "none":
            corpora = table["corpus"].to_numpy() if balance == "corpus" else None
            self._pools = self._make_pools(corpora, single_class)
        self._chances: dict[int, np.ndarray] = {}
        if even is not None:
            kinds = table[even].astype(str).to_numpy()
            self._chances = {
                n: _even(kinds[rows]) for n, (_, rows) in enumerate(self._pools[SPOOF])
            }
        self._streams: list[ShardStream] = []
        if buffer:
            sets = [self._pools[value][0][1] for value in (SPOOF, BONAFIDE)] if self._pools else []
            shards = np.array(shard_names(table["path"].tolist()), object)
            self._streams = [
                ShardStream(rows, shards[rows], buffer=buffer, seed=(seed, which))
                for which, rows in enumerate(sets or [np.arange(self.clips)])
            ]

    def _make_pools(
        self, corpora: np.ndarray | None, single_class: str
    ) -> dict[int, list[tuple[float, np.ndarray]]]:
        rows = np.arange(self.clips)
        if corpora is None:
            return {value: [(1.0, rows[self.labels == value])] for value in (SPOOF, BONAFIDE)}
        names = np.unique(corpora.astype(str))
        both = [n for n in names if len(set(self.labels[corpora.astype(str) == n])) == 2]
        if not both and single_class == "drop":
            raise InputError("data.single_class is drop, but no training corpus holds both classes")
        paired = np.isin(corpora.astype(str), both)
        pools: dict[int, list[tuple[float, np.ndarray]]] = {}
        for value in (SPOOF, BONAFIDE):
            mine = self.labels == value
            alone = rows[mine & ~paired] if single_class == "keep" else rows[:0]
            # Both classes visit the shared corpora equally often relative to one another, so
            # among them the corpus says nothing about the class.
            share = 1.0 - len(alone) / max(1, int(mine.sum()))
            weights = [int((paired & (corpora.astype(str) == n)).sum()) for n in both]
            total = max(1, sum(weights))
            pools[value] = [
                (share * weight / total, rows[mine & (corpora.astype(str) == n)])
                for n, weight in zip(both, weights, strict=True)
            ]
            if len(alone):
                pools[value].append((1.0 - share, alone))
        return pools

    def draw(self, position: int) -> tuple[int, np.random.Generator]:
        """Return the clip at ``position`` and the generator for its crop and augmentation.

        Parameters
        ----------
        position : int
            Place in the stream, from 0. The epoch is ``position // clips``.

        Returns
        -------
        row : int
            Row number of the clip.
        rng : numpy.random.Generator
            Seeded by (seed, epoch, index in the epoch), so that a resumed run repeats it.
        """
        turn = position // self.spoken_for
        epoch, index = divmod(turn, self.clips)
        rng = np.random.default_rng((self.seed, epoch, index + 1))
        if self._streams:
            turn, which = divmod(position, len(self._streams))
            return self._streams[which].row(turn), rng
        if self.balance == "none":
            return int(self._permutation(epoch)[index]), rng
        label = SPOOF if self._source is not None else position % 2
        pools = self._pools[label]
        weights = np.array([weight for weight, _ in pools])
        number = int(rng.choice(len(pools), p=weights / weights.sum()))
        pool = pools[number][1]
        if label == SPOOF and self._chances:
            row = int(rng.choice(pool, p=self._chances[number]))
        else:
            row = int(pool[rng.integers(len(pool))])
        if self._source is not None and position % 2:
            row = int(self._source[row])
        return row, rng

    def source(self, row: int) -> int:
        """Return the row of the bona fide clip that a copy was made from; -1 when not in pairs."""
        return -1 if self._source is None else int(self._source[row])

    @property
    def spoken_for(self) -> int:
        """Neighbours that one random draw speaks for: 2 when a copy brings its source, else 1."""
        return 1 if self._source is None else 2

    def _permutation(self, epoch: int) -> np.ndarray:
        if self._order is None or self._order[0] != epoch:
            # Stream 0 of the epoch; its draws have streams 1 and up.
            order = np.random.default_rng((self.seed, epoch, 0)).permutation(self.clips)
            self._order = (epoch, order)
        return self._order[1]


def _even(kinds: np.ndarray) -> np.ndarray:
    """Return chances of clips [N] with which each of their kinds [N] is equally likely.

    Examples
    --------
    >>> _even(np.array(["a", "b", "b"])).tolist()
    [0.5, 0.25, 0.25]
    """
    _, place, counts = np.unique(kinds, return_inverse=True, return_counts=True)
    chances: np.ndarray = 1.0 / (len(counts) * counts[place])
    return chances


def _sources(table: pd.DataFrame, labels: np.ndarray) -> np.ndarray:
    """Return for each spoofed row [N] the row of its bona fide clip; -1 elsewhere."""
    if "pair_id" not in table:
        raise InputError("data.balance is pair, but the training table has no column pair_id")
    pairs = table["pair_id"].to_numpy(object)
    real = {pairs[row]: row for row in np.flatnonzero(labels == BONAFIDE) if pairs[row]}
    source = np.full(len(table), -1)
    for row in np.flatnonzero(labels == SPOOF):
        if pairs[row] not in real:
            raise InputError(
                f"data.balance is pair, but {table['path'].iloc[row]} (pair_id "
                f"{pairs[row] or 'empty'}) has no bona fide clip beside it in the training set"
            )
        source[row] = real[pairs[row]]
    return source


class MixedPlan:
    """Draws from several sets of clips, each taking a share of the stream.

    Parameters
    ----------
    plans : list of DrawPlan
        One a set; classes balanced, so that neighbours hold both classes here too.
    shares : list of float
        How often each set is drawn from; they add up to 1.
    seed : int
        The run's seed.

    Attributes
    ----------
    labels : ndarray of int64, [N]
        Classes of all clips, set after set.
    clips : int
        Clips in all.
    """

    def __init__(self, plans: list[DrawPlan], shares: list[float], *, seed: int) -> None:
        self.seed = seed
        self.labels = np.concatenate([plan.labels for plan in plans])
        self.clips = len(self.labels)
        self._plans = plans
        self._shares = np.array(shares)
        self._first = np.cumsum([0, *(plan.clips for plan in plans)])

    def draw(self, position: int) -> tuple[int, np.random.Generator]:
        """Return the clip at ``position``, counted over all sets, and its generator."""
        # Where copies bring their sources, both of a pair must come from the same set.
        turn = position // max(plan.spoken_for for plan in self._plans)
        choice = np.random.default_rng((self.seed, turn, 0, _CHOICE))
        which = int(choice.choice(len(self._plans), p=self._shares))
        row, rng = self._plans[which].draw(position)
        return int(self._first[which]) + row, rng

    def source(self, row: int) -> int:
        """Return the row of a copy's source, counted over all sets; -1 when not in pairs."""
        which = int(np.searchsorted(self._first, row, side="right")) - 1
        first = int(self._first[which])
        found = self._plans[which].source(row - first)
        return first + found if found >= 0 else -1


def plan_draws(tables: list[pd.DataFrame], config: DataConfig, seed: int) -> DrawPlan | MixedPlan:
    """Plan what a recipe's ``data`` section asks for.

    Parameters
    ----------
    tables : list of DataFrame
        The training clips of ``data.path`` and of each of ``data.also``.
    config : DataConfig
        The section.
    seed : int
        The run's seed.

    Raises
    ------
    InputError
        As `DrawPlan`; ``data.path`` lacks the column of ``even``.
    """
    if config.even is not None and config.even not in tables[0]:
        raise InputError(f"data.even is {config.even}: the clips of data.path have no such column")
    balances = [config.balance, *(more.balance or config.balance for more in config.also)]
    plans = [
        DrawPlan(
            table,
            balance=balance,
            single_class=config.single_class,
            even=config.even if config.even in table else None,
            seed=seed,
            buffer=config.buffer,
        )
        for table, balance in zip(tables, balances, strict=True)
    ]
    if len(plans) == 1:
        return plans[0]
    more = [source.share for source in config.also]
    return MixedPlan(plans, [1.0 - sum(more), *more], seed=seed)
