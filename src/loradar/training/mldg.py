"""Meta-learning over attacks: each step must also help on attacks it was not taken for."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from loradar.training.attack_settings import MldgConfig
from loradar.training.trainer import DetectorTrainer

Gradients = list[Tensor | None]


class MldgTrainer(DetectorTrainer):
    """Trains by MLDG over attacks, first order.

    Each batch is split by attack. The gradient on one part (meta-train) moves the weights by a
    trial step; the gradient on the other (meta-test), taken there, is added to the first, and the
    optimiser steps from where the weights were. Second derivatives are left out, as is usual.

    MLDG: Li et al. 2018, arXiv 1710.03463; over attacks for this task: Laakkonen, Kukanov and
    Hautamäki 2025, arXiv 2502.10838. Surgery: Yu et al. 2020, arXiv 2001.06782.
    """

    def training_step(
        self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Any = None
    ) -> Tensor:
        """Set the gradients of one batch; return the mean of both losses, detached."""
        settings = self.recipe.training.mldg
        assert settings is not None
        model.train()
        inputs = self._prepare_inputs(inputs)
        held = split(inputs.pop("domains"), settings, (self.recipe.seed, self.state.global_step))
        parameters = [p for p in model.parameters() if p.requires_grad]
        first, before = self._gradients(model, inputs, ~held, parameters)
        start = [p.detach().clone() for p in parameters]
        with torch.no_grad():
            for p, g in zip(parameters, before, strict=True):
                if g is not None:
                    p.sub_(settings.step * g)
        second, after = self._gradients(model, inputs, held, parameters)
        with torch.no_grad():
            for p, value in zip(parameters, start, strict=True):
                p.copy_(value)
            both = combine(before, after, settings)
            share: float = 1 / self.args.gradient_accumulation_steps
            for p, g in zip(parameters, both, strict=True):
                if g is not None:
                    p.grad = share * g if p.grad is None else p.grad + share * g
        self.note("meta_test", second)
        mean: Tensor = (first + second).detach() / 2
        return mean * share

    def _gradients(
        self, model: nn.Module, inputs: dict[str, Tensor], rows: Tensor, to: list[nn.Parameter]
    ) -> tuple[Tensor, Gradients]:
        part = {name: value[rows] for name, value in inputs.items()}
        with self.compute_loss_context_manager():
            loss: Tensor = self.compute_loss(model, part)
        return loss, list(torch.autograd.grad(loss, to, allow_unused=True))


def split(domains: Tensor, settings: MldgConfig, seed: tuple[int, ...]) -> Tensor:
    """Mark the clips of a batch that are meta-test, [B] bool.

    A share of the attacks (at least one, and not all where there are two) and every second bona
    fide clip. A batch of one attack is halved.
    """
    rng = np.random.default_rng(seed)
    numbers = domains.tolist()
    attacks = sorted({number for number in numbers if number >= 0})
    if len(attacks) > 1:
        many = min(max(1, round(settings.held * len(attacks))), len(attacks) - 1)
        chosen = set(rng.choice(attacks, many, replace=False).tolist())
    else:
        chosen = set()
    marks, seen = [], {True: 0, False: 0}
    for number in numbers:
        halved = number < 0 or not chosen
        seen[number < 0] += 1
        marks.append(seen[number < 0] % 2 == 0 if halved else number in chosen)
    return torch.tensor(marks, device=domains.device)


def combine(train: Gradients, test: Gradients, settings: MldgConfig) -> Gradients:
    """Return ``train + weight * test``; with surgery each loses what points against the other."""
    left, right = list(train), list(test)
    if settings.surgery:
        pairs = [(a, b) for a, b in zip(train, test, strict=True) if a is not None is not b]
        dot = sum(float((a * b).sum()) for a, b in pairs if a is not None and b is not None)
        if dot < 0:
            left = _without(train, test, dot)
            right = _without(test, train, dot)
    found: Gradients = []
    for a, b in zip(left, right, strict=True):
        scaled = None if b is None else settings.weight * b
        found.append(a if scaled is None else scaled if a is None else a + scaled)
    return found


def _without(gradients: Gradients, against: Gradients, dot: float) -> Gradients:
    """Project ``gradients`` onto the plane normal to ``against``, all parameters as one vector."""
    size = sum(float(b.square().sum()) for b in against if b is not None)
    return [
        a if b is None else -dot / size * b if a is None else a - dot / size * b
        for a, b in zip(gradients, against, strict=True)
    ]
