"""Folding adapters into the base weights, where that is exact."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from loradar.errors import MergeError
from loradar.moe_lora.config import MoeLoraConfig
from loradar.moe_lora.mixture_linear import MixtureLinear


def check_mergeable(config: MoeLoraConfig) -> None:
    """Raise `MergeError` where one weight matrix cannot stand for the mixture."""
    if config.routed:
        raise MergeError(
            f"a mixture of {config.experts} experts cannot be merged: its gates change with the "
            f"{config.granularity}, and one weight matrix cannot; only experts=1 (plain LoRA) and "
            "routing=self can"
        )
    if config.grown:
        raise MergeError(
            "a grown expert cannot be merged: its gate changes with the input, and one weight "
            "matrix cannot; remove it first"
        )


@torch.no_grad()
def merge_layers(layers: Iterable[MixtureLinear]) -> list[nn.Linear]:
    """Add the experts' change to each base's weight and return the bases.

    It is worked out in float64, so that merging rounds once, to the weight's own type.
    """
    bases = []
    for layer in layers:
        weight = layer.base.weight
        weight.copy_(weight.double() + layer.change())
        bases.append(layer.base)
    return bases
