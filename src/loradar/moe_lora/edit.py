"""Experts come and go: append, freeze and remove, in a model that is adapted already.

Experts have numbers: 0 to E - 1 in the softmax, E and up for the grown ones in the order they came.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from loradar.errors import CheckpointError, ConfigError
from loradar.moe_lora.config import MoeLoraConfig
from loradar.moe_lora.gating import gate_block
from loradar.moe_lora.grown import GrownExpert
from loradar.moe_lora.layer import MoeLoraLinear
from loradar.moe_lora.router import Router

if TYPE_CHECKING:
    from loradar.moe_lora.mixture import MoeLora


def add_expert(mixture: MoeLora, rank: int | None = None) -> int:
    """Append one expert to every adapter, and a gate of its own to every router's place.

    The softmax is left as it was and the new gate is 0 for every input until it has learnt
    otherwise, so the model's output is the same bit for bit; see `loradar.moe_lora.grown` for why
    it can learn. The parameters that were there are frozen; those of the new expert train.

    Parameters
    ----------
    mixture : MoeLora
        The handle.
    rank : int, optional
        Rank of the new expert. None means that of the others.

    Returns
    -------
    int
        The new expert's number.

    Raises
    ------
    ConfigError
        When ``rank`` is not a whole number of at least 1.
    InjectionError
        When a block of a plain LoRA (E = 1) cannot have gates of its own.
    CheckpointError
        When the adapters have been taken out.
    """
    _need_adapters(mixture)
    config = mixture.config
    rank = config.rank if rank is None else rank
    config = replace(config, grown=(*config.grown, rank))
    if config.scope == "block" and not mixture.growth:
        _gate_blocks(mixture)
    for parameter in mixture.parameters():
        parameter.requires_grad_(False)
    for adapter in mixture.adapters.values():
        adapter.grown.append(GrownExpert(adapter.base, rank).train(adapter.training))
    like = next(iter(mixture.adapters.values())).base.weight
    for gates in mixture.growth.values():
        gates.grow(like)
    _configure(mixture, config)
    return config.total - 1


def freeze(mixture: MoeLora, numbers: Sequence[int]) -> None:
    """Keep experts as they are in all further training, after saving and loading too.

    Their ``A`` and ``B`` and their row of the router, or own gate, get no gradient; nor does an
    ``A`` that they share with others. Where only some of the softmax's experts are frozen they
    share tensors with others, and an optimiser's weight decay, which needs no gradient, would
    shrink them all the same: set it to 0 for ``A``, ``B`` and the routers then.

    Raises
    ------
    ConfigError
        When there is no such expert.
    """
    config = mixture.config
    _check(config, numbers)
    frozen = tuple(sorted({*config.frozen, *numbers}))
    _configure(mixture, replace(config, frozen=frozen))
    for place in (number - config.experts for number in frozen if number >= config.experts):
        for adapter in mixture.adapters.values():
            adapter.grown[place].requires_grad_(False)
        for gates in mixture.growth.values():
            gates.rows[place].requires_grad_(False)
    if set(range(config.experts)) <= set(frozen):
        for adapter in mixture.adapters.values():
            adapter.A.requires_grad_(False)
            adapter.B.requires_grad_(False)
        for router in mixture.routers.values():
            router.requires_grad_(False)


def remove(mixture: MoeLora, numbers: Sequence[int]) -> None:
    """Take experts out of every adapter. Those above them move down to their numbers.

    Without a grown expert the model is bit for bit what it was before that one came. Without one of
    the softmax's, the others share its gate; ``top_k`` shrinks where it would exceed them. Their
    tensors are made anew then: give the optimiser the new ones.

    Raises
    ------
    ConfigError
        When there is no such expert, or none would be left in the softmax.
    """
    _need_adapters(mixture)
    config = mixture.config
    _check(config, numbers)
    left = [number for number in range(config.total) if number not in numbers]
    stay = [number for number in left if number < config.experts]
    grown = [number - config.experts for number in left if number >= config.experts]
    if not stay:
        raise ConfigError(
            "one expert of the softmax must stay (0 "
            f"to {config.experts - 1}): for a model without experts take mode frozen"
        )
    for adapter in mixture.adapters.values():
        if len(stay) < config.experts:
            _keep(adapter, config, stay)
        if len(grown) < len(config.grown):
            adapter.grown = nn.ModuleList(adapter.grown[place] for place in grown)
    if len(stay) == 1 < config.experts:
        _drop_routers(mixture)
    elif len(stay) < config.experts:
        for router in mixture.routers.values():
            router.weight = _part(router.weight, config, stay, dim=0)
            if router.cue_weight is not None:
                router.cue_weight = _part(router.cue_weight, config, stay, dim=0)
    if len(grown) < len(config.grown):
        for gates in mixture.growth.values():
            gates.keep(grown)
    fewer = len(stay) < config.experts
    _configure(
        mixture,
        replace(
            config,
            experts=len(stay),
            # With one expert from the start its value means nothing and may be larger.
            top_k=min(config.top_k, len(stay)) if fewer else config.top_k,
            grown=tuple(config.grown[place] for place in grown),
            frozen=tuple(place for place, number in enumerate(left) if number in config.frozen),
        ),
    )


def tensors_of(mixture: MoeLora, number: int) -> dict[str, tuple[Tensor, Tensor]]:
    """Return the ``A`` and ``B`` of one expert in each adapter; see `MoeLora.tensors_of`."""
    config = mixture.config
    _check(config, (number,))
    found = {}
    for name, adapter in mixture.adapters.items():
        if number < config.experts:
            A = adapter.A.detach()
            if not config.shared_down:
                A = A.chunk(config.experts, 0)[number]
            B = adapter.B.detach().chunk(config.experts, 1)[number]
        else:
            expert = adapter.grown_experts[number - config.experts]
            A, B = expert.A.detach(), expert.B.detach()
        found[name] = (A, B)
    return found


@torch.no_grad()
def turn(mixture: MoeLora, number: int, name: str) -> None:
    """Turn the sign of a grown expert's gate and of its ``B``; tanh being odd, nothing changes.

    Parameters
    ----------
    mixture : MoeLora
        The handle.
    number : int
        The expert.
    name : str
        Of the block or projection, as in ``mixture.growth``.

    Raises
    ------
    ConfigError
        When it is not a grown expert.
    """
    config = mixture.config
    _check(config, (number,))
    if number < config.experts:
        raise ConfigError(f"expert {number} has no gate of its own")
    place = number - config.experts
    mixture.growth[name].rows[place].neg_()
    for own, adapter in mixture.adapters.items():
        if name == (own.rpartition(".")[0] if config.scope == "block" else own):
            adapter.grown_experts[place].B.neg_()


def _need_adapters(mixture: MoeLora) -> None:
    if not mixture.adapters:
        raise CheckpointError("there are no adapters: they were merged or taken out")


def _check(config: MoeLoraConfig, numbers: Sequence[int]) -> None:
    for number in numbers:
        if isinstance(number, bool) or not 0 <= number < config.total:
            raise ConfigError(f"there is no expert {number}; there are 0 to {config.total - 1}")


def _configure(mixture: MoeLora, config: MoeLoraConfig) -> None:
    mixture.config = config
    for adapter in mixture.adapters.values():
        adapter.config = config
    for router in mixture.routers.values():
        router.config = config
    for gates in mixture.growth.values():
        gates.config = config
    # Records of the mixture as it was would not fit it any more.
    mixture.context.forget()


def _gate_blocks(mixture: MoeLora) -> None:
    """Give gates to the blocks of a plain LoRA, which have none; all or no block."""
    blocks: dict[str, list[str]] = {}
    for name in mixture.adapters:
        blocks.setdefault(name.rpartition(".")[0], []).append(name)
    steps = len(mixture.steps)
    try:
        for block, names in blocks.items():
            shared = mixture.adapters[names[0]].shared
            assert shared is not None
            mixture.steps.extend(gate_block(mixture, block, names, shared))
    except BaseException:
        while len(mixture.steps) > steps:
            mixture.steps.pop()()
        mixture.growth.clear()
        raise


def _drop_routers(mixture: MoeLora) -> None:
    """Take the routers away: a single expert needs none."""
    for module in mixture.model.modules():
        for name, child in list(module.named_children()):
            if isinstance(child, Router) and child in mixture.routers.values():
                setattr(module, name, None)
    mixture.routers.clear()


def _keep(adapter: MoeLoraLinear, config: MoeLoraConfig, stay: list[int]) -> None:
    if not config.shared_down:
        adapter.A = _part(adapter.A, config, stay, dim=0)
    adapter.B = _part(adapter.B, config, stay, dim=1)


def _part(stacked: nn.Parameter, config: MoeLoraConfig, stay: list[int], dim: int) -> nn.Parameter:
    parts = stacked.detach().chunk(config.experts, dim)
    kept = torch.cat([parts[number] for number in stay], dim)
    return nn.Parameter(kept, requires_grad=stacked.requires_grad)
