"""Draws in pairs: a real clip and a copy of it, so that what is said tells nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from loradar.errors import InputError
from loradar.training.draws import class_indices

#: Class index of real speech; attacks have 1 and up.
NONE = 0
_CROP, _AUGMENT, _GRAFT = 1, 2, 3


@dataclass(frozen=True)
class Draw:
    """One clip of a batch.

    Attributes
    ----------
    row : int
        Which clip.
    source : int
        The clip that it is a copy of; -1 when that is not known, and for real speech.
    crop, augment, graft : numpy.random.Generator
        For the place of the crop, the same for both clips of a pair, for augmentation, and for
        grafts.
    """

    row: int
    source: int
    crop: np.random.Generator
    augment: np.random.Generator
    graft: np.random.Generator


class _Pool:
    """The clips of one manifest, by attack and by source."""

    def __init__(self, table: pd.DataFrame, first: int) -> None:
        real = table["label"].to_numpy() == "bonafide"
        if not real.any():
            raise InputError(
                "a training set holds no bona fide clip: check data.train and data.also"
            )
        rows = np.arange(len(table))
        names = table["attack"].to_numpy(object)
        self.first = first
        self.real = rows[real]
        self.by_attack = [rows[~real & (names == name)] for name in sorted(set(names[~real]))]
        pairs = _texts(table, "pair_id")
        corpora = _texts(table, "corpus")
        sources, neighbours = _rows_by(pairs, self.real), _rows_by(corpora, self.real)
        sources.pop("", None)
        #: Spoofed clips whose source is here.
        self.copies = {int(row) for row in rows[~real] if pairs[row] in sources}
        #: For each spoofed clip the real ones it may stand beside.
        self.beside = {
            int(row): sources.get(pairs[row], neighbours.get(corpora[row], self.real))
            for row in rows[~real]
        }

    def pair(self, rng: np.random.Generator) -> tuple[int, int, bool]:
        """Draw a real clip, a spoofed one, and whether that is its copy.

        Two real ones where there is no spoof.
        """
        if not self.by_attack:
            one, two = rng.choice(self.real, 2)
            return self.first + int(one), self.first + int(two), False
        attack = self.by_attack[rng.integers(len(self.by_attack))]
        spoof = int(attack[rng.integers(len(attack))])
        beside = self.beside[spoof]
        real = int(beside[rng.integers(len(beside))])
        return self.first + real, self.first + spoof, spoof in self.copies


def _texts(table: pd.DataFrame, column: str) -> np.ndarray:
    if column not in table:
        return np.full(len(table), "")
    return table[column].astype(str).to_numpy()


def _rows_by(values: np.ndarray, rows: np.ndarray) -> dict[str, np.ndarray]:
    found: dict[str, list[int]] = {}
    for row in rows:
        found.setdefault(values[row], []).append(int(row))
    return {value: np.array(places) for value, places in found.items()}


class PairPlan:
    """Says which training clip stands at each position of an endless stream of pairs.

    Parameters
    ----------
    tables : list of DataFrame
        Training clips, one table a manifest: ``label``, ``attack``, ``corpus`` and, for pairs,
        ``pair_id``.
    shares : list of float
        How often each table is drawn from; they add up to 1.
    seed : int
        The run's seed.
    same_augmentation : bool
        Whether both clips of a pair get equal generators for augmentation.

    Attributes
    ----------
    attacks : tuple of str
        Names found, sorted; class i + 1 is ``attacks[i]``.
    classes : ndarray of int64, [N]
        Class of each clip, table after table; `NONE` for real speech.

    Raises
    ------
    InputError
        A clip has no label, or a table no bona fide clip.
    """

    def __init__(
        self,
        tables: Sequence[pd.DataFrame],
        shares: Sequence[float],
        *,
        seed: int,
        same_augmentation: bool = False,
    ) -> None:
        self.seed, self.same_augmentation = seed, same_augmentation
        whole = pd.concat(list(tables), ignore_index=True)
        class_indices(whole, "training")
        self.attacks = tuple(sorted(set(whole.loc[whole["label"] == "spoof", "attack"])))
        self.classes = attack_classes(whole, self.attacks)
        firsts = np.cumsum([0, *(len(table) for table in tables)])
        self._pools = [_Pool(t, int(f)) for t, f in zip(tables, firsts, strict=False)]
        self._shares = np.array(shares) / np.sum(shares)

    def draw(self, position: int) -> Draw:
        """Return what stands at ``position``: real clips at even places, their copies behind.

        A pure function of the seed and the position, so that a resumed run repeats it.
        """
        pair, member = divmod(position, 2)
        rng = np.random.default_rng((self.seed, pair))
        pool = self._pools[rng.choice(len(self._pools), p=self._shares)]
        stream = 0 if self.same_augmentation else member
        real, other, copied = pool.pair(rng)
        return Draw(
            other if member else real,
            real if member and copied else -1,
            np.random.default_rng((self.seed, pair, _CROP)),
            np.random.default_rng((self.seed, pair, _AUGMENT, stream)),
            np.random.default_rng((self.seed, pair, _GRAFT)),
        )


def attack_classes(table: pd.DataFrame, attacks: Sequence[str]) -> np.ndarray:
    """Return the class [N] of each clip; ``len(attacks) + 1`` for an attack that is not listed."""
    places = {name: place for place, name in enumerate(attacks, start=1)}
    unknown = len(attacks) + 1
    return np.array(
        [
            NONE if label == "bonafide" else places.get(attack, unknown)
            for label, attack in zip(table["label"], table["attack"], strict=True)
        ],
        np.int64,
    )
