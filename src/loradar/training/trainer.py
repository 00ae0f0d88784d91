"""The trainer of detectors: loss, optimiser groups, dev figures."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import EvalPrediction

from loradar.detector.model import BONAFIDE, SPOOF, Detector
from loradar.errors import LoradarError
from loradar.evaluation.det import eer
from loradar.evaluation.metrics import cross_entropy
from loradar.training.rates import rates
from loradar.training.recipe import Recipe
from loradar.training.stream import StreamTrainer, adamw


class DetectorTask(nn.Module):
    """The detector as the Trainer sees it: it would write into a model's own ``config``."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, waveforms: Tensor) -> Tensor:
        """Return logits [B, 2] of waveforms [B, S]."""
        return cast(Tensor, self.detector(waveforms))


class DetectorTrainer(StreamTrainer):
    """Trains a `Detector` by weighted cross-entropy plus the mixture's auxiliary losses.

    Parameters
    ----------
    detector : Detector
        The model.
    recipe : Recipe
        Learning rates, label smoothing.
    class_weights : Tensor, optional
        [2] weights of (spoof, bona fide).
    **kwargs
        Passed on to `StreamTrainer`.
    """

    def __init__(
        self,
        detector: Detector,
        recipe: Recipe,
        *,
        class_weights: Tensor | None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            DetectorTask(detector), detector.trained_state, compute_metrics=dev_metrics, **kwargs
        )
        self.detector = detector
        self.recipe = recipe
        self.class_weights = class_weights

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """Return the loss (and, when asked, the logits [B, 2])."""
        logits = model(inputs["waveforms"])
        weights = self.class_weights
        loss = F.cross_entropy(
            logits.float(),
            inputs["labels"],
            weight=None if weights is None else weights.to(logits.device),
            label_smoothing=self.recipe.training.label_smoothing if model.training else 0.0,
        )
        if model.training:
            extra, terms = self.detector.auxiliary_loss()
            self.note("cross_entropy", loss)
            for name, value in terms.items():
                self.note(name, value)
            loss = loss + extra
        return (loss, {"loss": loss, "logits": logits}) if return_outputs else loss

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """AdamW with no decay on biases and norms, and learning rates by place."""
        if getattr(self, "optimizer", None) is None:
            training = self.recipe.training
            self.optimizer = adamw(rates(self.detector, training), training)
        return cast(torch.optim.Optimizer, self.optimizer)


def dev_metrics(prediction: EvalPrediction) -> dict[str, float]:
    """Return EER (fraction) and the cross-entropy (nats, mean of the two classes' means).

    Raises
    ------
    LoradarError
        A score is not finite.
    """
    logits = np.asarray(prediction.predictions, dtype=np.float64)
    labels = np.asarray(prediction.label_ids)
    if not np.isfinite(logits).all():
        raise LoradarError(
            "training diverged: the model gives no finite scores on dev clips; "
            "lower training.learning_rate, or train in fp32"
        )
    scores = logits[:, BONAFIDE] - logits[:, SPOOF]
    bonafide, spoof = scores[labels == 1], scores[labels == 0]
    return {
        "eer": float(eer(bonafide, spoof)),
        "cross_entropy": cross_entropy(bonafide, spoof),
    }
