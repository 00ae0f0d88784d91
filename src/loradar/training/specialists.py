"""Experts that learn one attack each before routers choose among them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from loradar.errors import ConfigError
from loradar.moe_lora import MoeLora
from loradar.training.trainer import DetectorTrainer


class SpecialistTrainer(DetectorTrainer):
    """Trains in two parts: each expert on its own attack, then the routers on all of them.

    In the first part each spoofed clip goes to the expert of its attack, whatever the routers say,
    and each bona fide one to any of them; routers rest. In the second the experts stay as they are
    and routers learn to choose. The back-end, and whatever else the recipe trains, learns in both.

    Attack-specific experts that are fused adaptively: AMULET, Chen et al. 2025, arXiv 2503.12010
    (there one fine-tuning an expert, over post-processing; here one training over all, any column).
    """

    def training_step(
        self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Any = None
    ) -> Tensor:
        """Set the gradients of one batch; return its loss, detached."""
        settings, mixture = self.recipe.training.specialists, self.detector.mixture
        assert settings is not None and mixture is not None
        step = self.state.global_step
        apart = step < round(settings.share * self.state.max_steps)
        let_learn(mixture, experts=apart)
        domains = inputs.pop("domains")
        numbers = assignment(domains, (self.recipe.seed, step)) if apart else None
        with mixture.assign(None if numbers is None else numbers.to(self.args.device)):
            loss: Tensor = super().training_step(model, inputs, num_items_in_batch)
        return loss


def let_learn(mixture: MoeLora, *, experts: bool) -> None:
    """Let the experts learn and the routers rest, or the other way round.

    What rests gets no gradient, and AdamW passes over it.
    """
    for adapter in mixture.adapters.values():
        for parameter in adapter.own_parameters():
            parameter.requires_grad_(experts)
    for router in mixture.routers.values():
        router.requires_grad_(not experts)


def assignment(domains: Tensor, seed: tuple[int, ...]) -> Tensor:
    """Return the expert of each clip of a batch, [B] int64.

    That of its attack; of bona fide clips (-1) one of those that the batch's spoofed clips have,
    since a human clip belongs to no attack and every expert must hear some.
    """
    rng = np.random.default_rng(seed)
    numbers = domains.tolist()
    attacks = sorted({number for number in numbers if number >= 0}) or [0]
    drawn = [number if number >= 0 else int(rng.choice(attacks)) for number in numbers]
    return torch.tensor(drawn)


def check_specialists(mixture: MoeLora | None) -> None:
    """Refuse what has no experts to choose from.

    Raises
    ------
    ConfigError
        No mixture, or one without routers.
    """
    if mixture is None or not mixture.config.routed:
        raise ConfigError(
            "training.specialists is about experts and their routers: set adaptation.mode to "
            "moe_lora with at least 2 experts and routing softmax"
        )
