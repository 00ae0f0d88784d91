"""The clips of a growth: which are new, which are old, which are held back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from loradar.corpora.manifest import Manifest
from loradar.errors import InputError
from loradar.training.draws import DrawPlan, MixedPlan

#: Fewer clips of the new attack than this teach nothing.
LEAST = 4
#: The three kinds of clips; their codes in `Clips.kinds`.
NEW, BONAFIDE, OLD = 0, 1, 2
NAMES = {NEW: "new attack", BONAFIDE: "bona fide", OLD: "replayed attacks"}


@dataclass(frozen=True)
class Clips:
    """One side of the division: clips and their kinds.

    Attributes
    ----------
    table : DataFrame
        A manifest's columns.
    kinds : ndarray of int64, [N]
        `NEW`, `BONAFIDE` or `OLD`.
    """

    table: pd.DataFrame
    kinds: np.ndarray

    @property
    def counts(self) -> dict[str, int]:
        """How many clips there are of each kind, by name."""
        return {name: int((self.kinds == kind).sum()) for kind, name in NAMES.items()}

    def rows(self, *kinds: int) -> np.ndarray:
        """Return the row numbers of the clips of these kinds."""
        return np.flatnonzero(np.isin(self.kinds, kinds))


def divide(
    data: Manifest, replay: Manifest | None, *, held: float, seed: int
) -> tuple[Clips, Clips]:
    """Sort clips into those that train and those that are held back.

    Every spoofed clip of ``data`` is the new attack. Clips with ``split = eval`` take no part,
    clips with ``split = dev`` are held back, and of the rest so many more, drawn by chance, that
    a share ``held`` of each kind is. Clips with the same ``pair_id`` stay on one side.

    Parameters
    ----------
    data : Manifest
        Clips of the new attack, and bona fide ones unless ``replay`` has them.
    replay : Manifest or None
        Clips from before. Those that are in ``data`` too are left out.
    held : float
        Share to hold back.
    seed : int
        Decides which.

    Returns
    -------
    training, held : Clips

    Raises
    ------
    InputError
        Too few clips of a kind, a clip without a label, or a file that is not there.
    """
    table = data.table.assign(kind=np.where(data.table["label"] == "bonafide", BONAFIDE, NEW))
    if replay is not None:
        more = replay.table[~replay.table["path"].isin(table["path"])]
        more = more.assign(kind=np.where(more["label"] == "bonafide", BONAFIDE, OLD))
        table = pd.concat([table, more], ignore_index=True)
    table = table[table["split"] != "eval"].reset_index(drop=True)
    unknown = table[table["label"] == ""]
    if len(unknown):
        raise InputError(
            f"{len(unknown)} clips have no label (first: {unknown['path'].iloc[0]}): label them "
            "bonafide or spoof"
        )
    kinds = table.pop("kind").to_numpy(np.int64)
    back = _held_back(table, kinds, held, np.random.default_rng(seed))
    sides = []
    for chosen in (~back, back):
        sides.append(Clips(table[chosen].reset_index(drop=True), kinds[chosen]))
    _require(sides[0], sides[1], replay is not None)
    missing = [path for path in table["path"] if not Path(path).is_file()]
    if missing:
        raise InputError(f"{missing[0]}: no such file ({len(missing)} of the clips are missing)")
    return sides[0], sides[1]


def plan_growth(
    training: Clips, *, replay_share: float, seed: int
) -> tuple[MixedPlan | DrawPlan, pd.DataFrame, np.ndarray]:
    """Plan the draws: half of them bona fide, the spoofed half new and replayed by shares.

    Within corpora that hold both classes these come equally often, as in training, so that the
    corpus of the new clips does not pass for the attack.

    Returns
    -------
    plan : MixedPlan or DrawPlan
        What stands at each position.
    table : DataFrame
        The clips its rows mean; a bona fide clip may come twice.
    is_new : ndarray of bool, [N]
        Which of them are the new attack.
    """
    groups = [training.rows(NEW, BONAFIDE)]
    if len(training.rows(OLD)):
        groups.append(training.rows(OLD, BONAFIDE))
    rows = np.concatenate(groups)
    tables = [training.table.iloc[group] for group in groups]
    plans = [DrawPlan(table, balance="corpus", seed=seed) for table in tables]
    plan: MixedPlan | DrawPlan = plans[0]
    if len(plans) == 2:
        plan = MixedPlan(plans, [1 - replay_share, replay_share], seed=seed)
    table = training.table.iloc[rows].reset_index(drop=True)
    return plan, table, training.kinds[rows] == NEW


def _held_back(
    table: pd.DataFrame, kinds: np.ndarray, share: float, rng: np.random.Generator
) -> np.ndarray:
    """Return which clips are held back, [N] bool."""
    back = (table["split"] == "dev").to_numpy(copy=True)
    groups = table["path"].astype(str)
    if "pair_id" in table:
        named = table["pair_id"].fillna("").astype(str)
        groups = groups.where(named == "", named)
    names = groups.to_numpy()
    for kind in NAMES:
        mine = kinds == kind
        wanted = max(2, round(share * int(mine.sum())))
        order = rng.permutation(np.unique(names[mine]))
        # Last those that would take clips of an earlier kind along: of a new attack there are few.
        dear = np.isin(order, names[(kinds < kind) & ~back])
        for name in [*order[~dear], *order[dear]]:
            if int((back & mine).sum()) >= wanted:
                break
            back |= names == name
    return back


def _require(training: Clips, held: Clips, has_replay: bool) -> None:
    new = training.counts[NAMES[NEW]] + held.counts[NAMES[NEW]]
    if not new:
        raise InputError("--data holds no spoofed clip (split = eval takes no part)")
    if not len(training.rows(BONAFIDE)):
        where = "--data or --replay" if has_replay else "--data, or give them with --replay"
        raise InputError(f"there are too few bona fide clips to learn from: put some into {where}")
    if len(training.rows(NEW)) < LEAST:
        raise InputError(
            f"{new} clips of the new attack, {len(training.rows(NEW))} of them to learn from, are "
            f"too few: give 20 to 200 (at least {LEAST} beside those held back)"
        )
    if not len(held.rows(NEW)) or not len(held.rows(BONAFIDE)):
        raise InputError("no clip of the new attack, or no bona fide one, could be held back")
