"""A system as a report sees it: its scored trials and what is known of where they come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from loradar.evaluation.det import BoolArray, FloatArray
from loradar.evaluation.evaluate import evaluate

Classes = tuple[FloatArray, FloatArray]


@dataclass(frozen=True)
class System:
    """One system and its trials.

    Attributes
    ----------
    name : str
        What tables call it.
    trials : DataFrame
        ``path``, ``label``, ``score`` and optionally ``llr``, ``attack``, other columns, and the
        experts' gates (``gate:ROUTER:EXPERT``).
    report : dict
        `evaluate.evaluate` of them.
    about : mapping of str to str
        Long texts on the system (its recipe, measures of its training, calibration), by heading.
    sources : mapping of str to str
        Short facts: files, hashes.
    """

    name: str
    trials: pd.DataFrame
    report: dict[str, Any]
    about: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        name: str,
        trials: pd.DataFrame,
        *,
        about: Mapping[str, str] | None = None,
        sources: Mapping[str, str] | None = None,
        **options: Any,
    ) -> System:
        """Evaluate trials; ``options`` are those of `evaluate.evaluate`.

        Raises
        ------
        InputError
            As `evaluate.evaluate`.
        """
        return cls(name, trials, evaluate(trials, **options), about or {}, sources or {})

    @property
    def usable(self) -> pd.DataFrame:
        """The trials with a label and a score."""
        known = self.trials["label"].isin(["bonafide", "spoof"]) & self.trials["score"].notna()
        return self.trials[known]

    @property
    def calibrated(self) -> bool:
        """Whether all figures that need log-likelihood ratios have them."""
        return bool(self.report["llr_from"] == "llr")

    def classes(self, column: str = "score") -> Classes:
        """Return the bona fide and the spoofed trials' values of a column."""
        usable = self.usable
        real: BoolArray = (usable["label"] == "bonafide").to_numpy()
        values = usable[column].to_numpy(np.float64)
        return values[real], values[~real]


def best(systems: Sequence[System]) -> System:
    """Return the system of the lowest pooled EER (tie-safe)."""
    return min(systems, key=lambda system: system.report["pooled"]["eer_tie_safe"])
