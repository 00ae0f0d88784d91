"""What is measured on the dev set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import EvalPrediction

from loradar.errors import LoradarError
from loradar.evaluation.det import eer
from loradar.training.pretrain.pairs import NONE
from loradar.training.pretrain.recipe import ObjectiveConfig
from loradar.training.pretrain.trainer import UNMASKED


class Figures:
    """The Trainer's ``compute_metrics``: fractions, by the names in ``metrics.json``.

    Parameters
    ----------
    objective : ObjectiveConfig
        Which predictions there are.
    attacks : sequence of str
        Attacks that are trained on, in the order of their classes.
    names : ndarray of str, [N]
        Attack of each dev clip, empty for real ones.
    """

    def __init__(
        self, objective: ObjectiveConfig, attacks: Sequence[str], names: NDArray[Any]
    ) -> None:
        self.objective, self.attacks, self.names = objective, tuple(attacks), names

    def __call__(self, prediction: EvalPrediction) -> dict[str, Any]:
        """Return ``masked_accuracy`` and ``masked_chance``, and what `artifact` returns."""
        parts: Any = prediction.predictions
        parts = list(parts) if isinstance(parts, tuple) else [parts]
        found: dict[str, Any] = {}
        if self.objective.masked is not None:
            codes, guesses = parts[:2]
            found |= masked(codes, guesses)
            parts = parts[2:]
        if self.objective.artifact is not None:
            guesses, scores = parts
            found |= self.artifact(guesses, scores, np.asarray(prediction.label_ids))
        return found

    def artifact(
        self, guesses: NDArray[Any], scores: NDArray[Any], classes: NDArray[Any]
    ) -> dict[str, Any]:
        """Measure the artifact head.

        Parameters
        ----------
        guesses : ndarray of int, [N]
            Class of each clip as the head says.
        scores : ndarray of float, [N]
            Higher is more real.
        classes : ndarray of int, [N]
            The true ones; attacks not trained on have the highest number.

        Returns
        -------
        dict
            ``attack_accuracy``: recall, averaged over "none" and the attacks trained on;
            ``attack_chance``; ``eer`` of real or not over those attacks; ``eer_left_out`` over
            the others; ``eer_by_attack``. EERs only where there is real and spoofed speech.

        Raises
        ------
        LoradarError
            A score is not finite.
        """
        if not np.isfinite(scores).all():
            raise LoradarError(
                "training diverged: the model gives no finite scores on dev clips; "
                "lower training.learning_rate, or train in fp32"
            )
        known = range(len(self.attacks) + 1)
        recalls = [np.mean(guesses[classes == k] == k) for k in known if (classes == k).any()]
        found: dict[str, Any] = {
            "attack_accuracy": float(np.mean(recalls)) if recalls else 0.0,
            "attack_chance": 1 / len(known),
        }
        real = scores[classes == NONE]
        if not len(real):
            return found
        for name, chosen in (
            ("eer", (classes != NONE) & (classes < len(known))),
            ("eer_left_out", classes == len(known)),
        ):
            if chosen.any():
                found[name] = float(eer(real, scores[chosen]))
        found["eer_by_attack"] = {
            str(name): float(eer(real, scores[self.names == name]))
            for name in sorted(set(self.names[classes != NONE]))
        }
        return found


def masked(codes: NDArray[Any], guesses: NDArray[Any]) -> dict[str, float]:
    """Return the share of masked codes guessed, and of the most frequent one of each codebook.

    Parameters
    ----------
    codes, guesses : ndarray of int, [N, T, codebooks]
        `UNMASKED` where a frame is not masked.
    """
    places = codes[..., 0] != UNMASKED
    codes, guesses = codes[places], guesses[places]
    common = [np.bincount(book).max() / len(book) for book in codes.T]
    return {
        "masked_accuracy": float(np.mean(codes == guesses)),
        "masked_chance": float(np.mean(common)),
    }
