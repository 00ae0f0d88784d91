"""The trainer of encoders: the sum of the objectives' losses, and what evaluation needs."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from loradar.detector.model import BONAFIDE, SPOOF
from loradar.training.pretrain.model import PretrainModel, masked_loss
from loradar.training.pretrain.pairs import NONE
from loradar.training.pretrain.recipe import PretrainRecipe
from loradar.training.stream import StreamTrainer, adamw

#: In place of codes and guesses where a frame is not masked.
UNMASKED = -1


class PretrainTrainer(StreamTrainer):
    """Trains a `PretrainModel`.

    Parameters
    ----------
    model : PretrainModel
        Encoder and heads.
    recipe : PretrainRecipe
        Weights of the losses, learning rates.
    **kwargs
        Passed on to `StreamTrainer`.
    """

    def __init__(self, model: PretrainModel, recipe: PretrainRecipe, **kwargs: Any) -> None:
        super().__init__(model, model.state_dict, **kwargs)
        self.parts = model
        self.recipe = recipe

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """Return the loss (and, when asked, what `Figures` measures)."""
        found = model(inputs["waveforms"])
        loss = found[next(iter(found))].new_zeros((), dtype=torch.float32)
        for name, weight, term in self._losses(found, inputs["labels"]):
            if model.training:
                self.note(name, term)
            loss = loss + weight * term
        return (loss, {"loss": loss, **_measurable(found)}) if return_outputs else loss

    def _losses(self, found: dict[str, Tensor], labels: Tensor) -> list[tuple[str, float, Tensor]]:
        losses = []
        masked, artifact = self.recipe.objective.masked, self.recipe.objective.artifact
        if masked is not None:
            losses.append(("masked", masked.weight, masked_loss(found)))
        if artifact is not None:
            attack, smoothing = found["attack"].float(), artifact.label_smoothing
            # Attacks of the dev set that training does not know have no class.
            known = labels < attack.shape[1]
            named = F.cross_entropy(
                attack[known], labels[known], label_smoothing=smoothing, reduction="sum"
            )
            named = named / max(1, int(known.sum()))
            losses.append(("attack", artifact.attack_weight, named))
            answers = torch.where(labels == NONE, BONAFIDE, SPOOF)
            real = F.cross_entropy(found["real"].float(), answers, label_smoothing=smoothing)
            losses.append(("real", artifact.real_weight, real))
        return losses

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """AdamW with no decay on biases and norms, and the heads' own learning rate."""
        if getattr(self, "optimizer", None) is None:
            training = self.recipe.training
            head = training.backend_learning_rate or training.learning_rate
            heads = self.parts.head_parameters()
            self.optimizer = adamw(
                (
                    (head if parameter in heads else training.learning_rate, parameter)
                    for parameter in self.parts.parameters()
                ),
                training,
            )
        return cast(torch.optim.Optimizer, self.optimizer)


def _measurable(found: dict[str, Tensor]) -> dict[str, Tensor]:
    """Bring predictions to one row a clip, as the Trainer gathers them; see `Figures`."""
    rows: dict[str, Tensor] = {}
    if "mask" in found:
        mask, codes = found["mask"], found["codes"]
        for name, values in (("codes", codes), ("guesses", found["guesses"].argmax(dim=-1))):
            rows[name] = codes.new_full((*mask.shape, codes.shape[1]), UNMASKED)
            rows[name][mask] = values
    if "real" in found:
        rows["attack"] = found["attack"].argmax(dim=-1)
        rows["score"] = (found["real"][:, BONAFIDE] - found["real"][:, SPOOF]).float()
    return rows
