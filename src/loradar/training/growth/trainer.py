"""The trainer of grown experts: the task's loss, and what keeps the old answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import EvalPrediction

from loradar.detector.model import BONAFIDE, SPOOF, Detector
from loradar.errors import LoradarError
from loradar.training.dataset import TrainingClips
from loradar.training.growth.clips import BONAFIDE as BONAFIDE_CLIP
from loradar.training.growth.clips import NAMES
from loradar.training.recipe import TrainingConfig
from loradar.training.stream import StreamTrainer, adamw
from loradar.training.trainer import DetectorTask


class GrowthClips(TrainingClips):
    """Training clips that say, too, which are the new attack's.

    Parameters
    ----------
    is_new : ndarray of bool, [N]
        By row of the plan.
    *args, **kwargs
        See `TrainingClips`.
    """

    def __init__(self, is_new: np.ndarray, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.is_new = is_new

    def __getitem__(self, position: int) -> dict[str, Tensor]:
        """Return ``waveforms``, ``labels`` and ``is_new`` bool []."""
        row, _ = self.plan.draw(position)
        return {**super().__getitem__(position), "is_new": torch.tensor(bool(self.is_new[row]))}


class GrowthTrainer(StreamTrainer):
    """Trains what of a detector asks for a gradient, and keeps its answers elsewhere.

    The loss is the cross-entropy plus, on all clips but the new attack's, ``keep`` times the
    divergence of the answers from those of the model as it was (learning without forgetting: Li
    and Hoiem 2016, arXiv 1606.09282).

    Parameters
    ----------
    detector : Detector
        Its fixed parameters ask for no gradient.
    training : TrainingConfig
        Rates.
    keep : float
        Weight of the divergence; 0 spares its forward.
    held_kinds : ndarray of int64, [N]
        Kinds of the evaluation clips.
    **kwargs
        Passed on to `StreamTrainer`.
    """

    def __init__(
        self,
        detector: Detector,
        training: TrainingConfig,
        *,
        keep: float,
        held_kinds: np.ndarray,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            DetectorTask(detector),
            self._trained,
            compute_metrics=lambda prediction: held_metrics(prediction, held_kinds),
            **kwargs,
        )
        self.detector = detector
        self.training = training
        self.keep = keep
        self._start = {name: p.detach().clone() for name, p in self._trained().items()}

    def _trained(self) -> dict[str, Tensor]:
        named = self.model.detector.named_parameters()
        return {name: parameter for name, parameter in named if parameter.requires_grad}

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """Return the loss (and, when asked, the logits [B, 2])."""
        old = ~inputs["is_new"] if model.training and self.keep else None
        # Before the forward with a gradient: it may not find its parameters changed.
        wanted = None if old is None or not old.any() else self._old_answers(inputs, old)
        logits = model(inputs["waveforms"])
        loss = F.cross_entropy(logits.float(), inputs["labels"])
        self.note("cross_entropy", loss)
        if old is not None and wanted is not None:
            answers = logits.float()[old].log_softmax(-1)
            divergence = F.kl_div(answers, wanted, reduction="batchmean", log_target=True)
            self.note("divergence", divergence)
            loss = loss + self.keep * divergence
        return (loss, {"loss": loss, "logits": logits}) if return_outputs else loss

    @torch.no_grad()
    def _old_answers(self, inputs: dict[str, Tensor], old: Tensor) -> Tensor:
        """Return the log-probabilities the model gave before, [number of old clips, 2]."""
        with self._as_it_was():
            logits: Tensor = self.detector(inputs["waveforms"][old])
        return logits.float().log_softmax(-1)

    @contextmanager
    def _as_it_was(self) -> Iterator[None]:
        now = {name: p.detach().clone() for name, p in self._trained().items()}
        self._put(self._start)
        self.detector.eval()
        try:
            yield
        finally:
            self._put(now)
            self.detector.train()

    def _put(self, values: dict[str, Tensor]) -> None:
        with torch.no_grad():
            for name, parameter in self._trained().items():
                parameter.copy_(values[name])

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """AdamW over what trains."""
        if getattr(self, "optimizer", None) is None:
            rate = self.training.learning_rate
            parameters = ((rate, parameter) for parameter in self.detector.parameters())
            self.optimizer = adamw(parameters, self.training)
        return cast(torch.optim.Optimizer, self.optimizer)


def held_metrics(prediction: EvalPrediction, kinds: np.ndarray) -> dict[str, float]:
    """Return the cross-entropy (nats) on held clips, the mean of the kinds' means.

    Raises
    ------
    LoradarError
        A score is not finite.
    """
    logits = np.asarray(prediction.predictions, dtype=np.float64)
    if not np.isfinite(logits).all():
        raise LoradarError("growing diverged: lower --learning-rate")
    costs = kind_costs(logits[:, BONAFIDE] - logits[:, SPOOF], kinds)
    return {"cross_entropy": float(np.mean(list(costs.values())))}


def kind_costs(scores: np.ndarray, kinds: np.ndarray) -> dict[str, float]:
    """Return the mean cross-entropy (nats) of raw scores [N] for each kind that is there."""
    signs = np.where(kinds == BONAFIDE_CLIP, -1.0, 1.0)
    costs = np.logaddexp(0, signs * scores)
    return {
        name: float(costs[kinds == kind].mean())
        for kind, name in NAMES.items()
        if (kinds == kind).any()
    }
