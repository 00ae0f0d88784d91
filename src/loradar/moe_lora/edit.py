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
from loradar.moe_lora.router import Router, part

if TYPE_CHECKING:
    from loradar.moe_lora.mixture import MoeLora
    from loradar.moe_lora.mixture_linear import MixtureLinear


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
        When ``rank`` is not a whole number of at least 1, or the mixture is of a kind that cannot
        grow (``experts_by_layer``, ``routing`` self).
    InjectionError
        When a block of a plain LoRA (E = 1) cannot have gates of its own.
    CheckpointError
        When the adapters have been taken out.
    """
    _need_adapters(mixture)
    config = mixture.config
    rank = config.rank if rank is None else rank
    config = config.growing(rank)
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

    What is theirs and their row of the router, or own gate, get no gradient; nor does an ``A`` or
    a magnitude that they share with others. Where only some of the softmax's experts are frozen
    they share tensors with others, and an optimiser's weight decay, which needs no gradient, would
    shrink them all the same: set it to 0 for experts and routers then.

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
            for parameter in adapter.own_parameters():
                parameter.requires_grad_(False)
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
        When there is no such expert, none would be left in the softmax, or it is one that cannot
        go: the shared one of ``routing`` self, or any where ``experts_by_layer`` says how many.
    """
    _need_adapters(mixture)
    config = mixture.config
    _check(config, numbers)
    if config.experts_by_layer is not None and numbers:
        raise ConfigError(
            "no expert of a mixture with experts_by_layer can be removed: layers have unequal "
            "numbers of them"
        )
    left = [number for number in range(config.total) if number not in numbers]
    stay = [number for number in left if number < config.experts]
    grown = [number - config.experts for number in left if number >= config.experts]
    if not stay:
        raise ConfigError(
            "one expert of the softmax must stay (0 "
            f"to {config.experts - 1}): for a model without experts take mode frozen"
        )
    if config.self_routed and (config.experts - 1 not in stay or len(stay) < 3):
        raise ConfigError(
            f"expert {config.experts - 1} is the shared one (routing self): it must stay, and two "
            "beside it"
        )
    for adapter in mixture.adapters.values():
        if len(stay) < config.experts:
            adapter.keep(stay)
        if len(grown) < len(config.grown):
            adapter.grown = nn.ModuleList(adapter.grown[place] for place in grown)
    if len(stay) == 1 < config.experts:
        _drop_routers(mixture)
    elif len(stay) < config.experts:
        for router in mixture.routers.values():
            router.weight = part(router.weight, config, stay, dim=0)
            if router.cue_weight is not None:
                router.cue_weight = part(router.cue_weight, config, stay, dim=0)
    if len(grown) < len(config.grown):
        for gates in mixture.growth.values():
            gates.keep(grown)
    fewer = len(stay) < config.experts
    most = len(stay) - 1 if config.self_routed else len(stay)
    _configure(
        mixture,
        replace(
            config,
            experts=len(stay),
            # With one expert from the start its value means nothing and may be larger.
            top_k=min(config.top_k, most) if fewer else config.top_k,
            grown=tuple(config.grown[place] for place in grown),
            frozen=tuple(place for place, number in enumerate(left) if number in config.frozen),
        ),
    )


def tensors_of(mixture: MoeLora, number: int) -> dict[str, tuple[Tensor, Tensor]]:
    """Return the ``A`` and ``B`` of one expert in each adapter; see `MoeLora.tensors_of`."""
    found = {}
    for name, adapter in having(mixture, number).items():
        if number < adapter.config.experts:
            found[name] = adapter.factors(number)
        else:
            expert = adapter.grown_experts[number - adapter.config.experts]
            found[name] = (expert.A.detach(), expert.B.detach())
    return found


def levers_of(mixture: MoeLora, number: int) -> list[Tensor]:
    """Return the tensors of one expert that, set to zero, take its change away and no other."""
    return [
        adapter.lever(number)
        if number < adapter.config.experts
        else adapter.grown_experts[number - adapter.config.experts].B.detach()
        for adapter in having(mixture, number).values()
    ]


def having(mixture: MoeLora, number: int) -> dict[str, MixtureLinear]:
    """Return the adapters that have an expert: all, or fewer where ``experts_by_layer`` is set.

    Raises
    ------
    ConfigError
        When there is no such expert in any.
    """
    _check(mixture.config, (number,))
    return {n: a for n, a in mixture.adapters.items() if number < a.config.total}


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
        adapter.config = config.at(adapter.config.experts)
    for router in mixture.routers.values():
        router.config = config.at(router.config.experts)
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
