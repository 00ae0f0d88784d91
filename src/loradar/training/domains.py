"""Training clips that say which attack they are of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from loradar.errors import InputError
from loradar.training.dataset import TrainingClips


def domains_of(tables: list[pd.DataFrame], by: str, asked: str) -> np.ndarray:
    """Number the attacks of training clips: [N] int64, -1 for bona fide ones.

    Parameters
    ----------
    tables : list of DataFrame
        Of training clips.
    by : str
        The column that tells attacks apart.
    asked : str
        What errors name: the section of the recipe that wants to know, such as ``training.mldg``.

    Raises
    ------
    InputError
        A table lacks the column, or there are fewer than two attacks.
    """
    for table in tables:
        if by not in table:
            raise InputError(f"{asked}.by is {by}: the training clips have no such column")
    real = np.concatenate([(table["label"] == "bonafide").to_numpy() for table in tables])
    names = np.concatenate([table[by].astype(str).to_numpy() for table in tables])
    known = {name: number for number, name in enumerate(sorted(set(names[~real])))}
    if len(known) < 2:
        raise InputError(f"{asked} needs at least two values of {by} among spoofed clips")
    return np.array([-1 if r else known[n] for n, r in zip(names, real, strict=True)], np.int64)


class DomainClips(TrainingClips):
    """Training clips that say which attack they are of, too.

    Parameters
    ----------
    domains : ndarray of int64, [N]
        Of `domains_of`, by row of the plan.
    *args, **kwargs
        See `TrainingClips`.
    """

    def __init__(self, domains: np.ndarray, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.domains = domains

    def __getitem__(self, position: int) -> dict[str, Tensor]:
        """Return ``waveforms``, ``labels`` and ``domains`` int64 []."""
        row, _ = self.plan.draw(position)
        return {**super().__getitem__(position), "domains": torch.tensor(int(self.domains[row]))}
