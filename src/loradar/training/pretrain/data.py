"""From a recipe's ``data`` section to clips as tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import Dataset

from loradar.audio.augmentation import AugmentationConfig, build_augmentation
from loradar.audio.graft import WHOLE
from loradar.audio.reading import SAMPLE_RATE
from loradar.audio.windows import crop
from loradar.corpora.manifest import Manifest
from loradar.corpora.protocols import read_corpus
from loradar.errors import InputError
from loradar.training.dataset import ClipStore, grafted_crop
from loradar.training.draws import class_indices
from loradar.training.folder import distinct_clips, require_apart, require_files
from loradar.training.pretrain.pairs import PairPlan
from loradar.training.pretrain.recipe import PretrainData
from loradar.training.sections import Conditions, conditions

_REAL_SHARE = 3  # every so many of the dev clips measured on is real


@dataclass(frozen=True)
class PretrainSets:
    """The clips of a run.

    Attributes
    ----------
    parts : list of DataFrame
        Training clips, one table a manifest.
    shares : list of float
        How often each is drawn from.
    training, dev : Manifest
        All of them, each once, and those to measure on.
    """

    parts: list[pd.DataFrame]
    shares: list[float]
    training: Manifest
    dev: Manifest

    @property
    def paths(self) -> list[str]:
        """Files of the training clips, part by part."""
        return [path for part in self.parts for path in part["path"]]


def read_sets(config: PretrainData, seed: int) -> PretrainSets:
    """Read the manifests and choose the rows.

    Raises
    ------
    InputError
        A manifest or clip is missing, ``without`` names what is nowhere, or a clip is in both
        sets.
    """
    whole = read_corpus(config.corpus, config.path)
    parts = [whole.where(conditions(config.train))]
    for more in config.also:
        parts.append(read_corpus(more.corpus, more.path).where(conditions(more.train)))
    kept = leave_out(parts, config.without)
    training = distinct_clips(kept)
    dev = whole.where(conditions(config.dev))
    class_indices(dev.table, "dev")
    dev = Manifest(thinned(dev.table, config.dev_clips, seed), source="dev clips")
    require_apart(training, dev)
    require_files(training, dev)
    shares = [more.share for more in config.also]
    return PretrainSets([part.table for part in kept], [1 - sum(shares), *shares], training, dev)


def leave_out(parts: Sequence[Manifest], without: Conditions) -> list[Manifest]:
    """Take the rows that hold a value of ``without`` out of every manifest.

    Raises
    ------
    InputError
        A value occurs in none of them: a family to be left out must not stay in by a slip of the
        pen.
    """
    kept = list(parts)
    for column, given in without.items():
        values = [given] if isinstance(given, str) else [str(value) for value in given]
        holding = [
            set(part.table[column].astype(str)) if column in part.table else set() for part in parts
        ]
        unknown = sorted(set(values) - set().union(*holding))
        if unknown:
            raise InputError(
                f"data.without: no training clip has {column} = {', '.join(unknown)}; there are "
                f"{', '.join(sorted(set().union(*holding) - {''})) or 'none'}"
            )
        for place, (part, held) in enumerate(zip(kept, holding, strict=True)):
            here = sorted(set(values) & held)
            if here and part.table[column].astype(str).isin(here).any():
                kept[place] = part.without({column: here})
    return kept


def thinned(table: pd.DataFrame, most: int, seed: int) -> pd.DataFrame:
    """Draw at most ``most`` rows: a third real clips, the attacks evenly; order is kept."""
    if len(table) <= most:
        return table
    order = np.random.default_rng(seed).permutation(len(table))
    real = table["label"].to_numpy() == "bonafide"
    attacks = table["attack"].to_numpy(object)
    turns = np.zeros(len(table))
    for name in set(attacks):
        mine = order[attacks[order] == name]
        turns[mine] = np.arange(len(mine))
    ranked = sorted(order, key=lambda row: turns[row])
    of_real = [row for row in ranked if real[row]]
    of_spoof = [row for row in ranked if not real[row]]
    count = max(most // _REAL_SHARE, most - len(of_spoof))
    chosen = of_real[:count]
    chosen += of_spoof[: most - len(chosen)]
    return table.iloc[sorted(chosen)].reset_index(drop=True)


class PairedClips(Dataset[dict[str, Tensor]]):
    """The whole run as one list of draws; neighbours are pairs.

    Parameters
    ----------
    store : ClipStore
        The training clips.
    plan : PairPlan
        Which stands where.
    augmentation : AugmentationConfig
        Applied to the crop.
    window : int
        Samples of a crop.
    length : int
        Draws of the run.
    graft : float
        Share of the copies that keep only a part (`loradar.audio.graft`).
    graft_depth : tuple of float
        How much of a graft is taken, least and most.
    """

    def __init__(
        self,
        store: ClipStore,
        plan: PairPlan,
        augmentation: AugmentationConfig,
        *,
        window: int,
        length: int,
        graft: float = 0.0,
        graft_depth: tuple[float, float] = WHOLE,
    ) -> None:
        self.store, self.plan = store, plan
        self.graft, self.graft_depth = graft, graft_depth
        self.augment = build_augmentation(augmentation)
        self.window, self.length = window, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, position: int) -> dict[str, Tensor]:
        """Return ``waveforms`` float32 [window] and ``labels`` int64 [], the class."""
        draw = self.plan.draw(position)
        samples = self.store[draw.row]
        if draw.source >= 0 and draw.graft.random() < self.graft:
            source = self.store[draw.source]
            pair, rngs = (samples, source), (draw.crop, draw.graft)
            samples = grafted_crop(*pair, self.window, *rngs, self.graft_depth)
        else:
            samples = crop(samples, self.window, draw.crop)
        samples = self.augment(samples, SAMPLE_RATE, draw.augment).astype(np.float32, copy=False)
        return {
            "waveforms": torch.from_numpy(np.ascontiguousarray(samples)),
            "labels": torch.tensor(int(self.plan.classes[draw.row])),
        }
