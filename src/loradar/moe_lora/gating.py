"""A block's gates: its router and the gates of its grown experts, run as the block starts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from loradar.errors import InjectionError
from loradar.moe_lora.context import BlockGates
from loradar.moe_lora.grown import GrownGates
from loradar.moe_lora.router import Router

if TYPE_CHECKING:
    from loradar.moe_lora.mixture import MoeLora

# Names of a block's router and gates among the block's own modules.
ROUTER_NAME = "moe_router"
GROWN_NAME = "moe_grown"


def gate_block(
    mixture: MoeLora, block: str, names: list[str], shared: BlockGates
) -> list[Callable[[], None]]:
    """Give a block its router (where the mixture is routed) and its gates of grown experts.

    Parameters
    ----------
    mixture : MoeLora
        The handle, whose ``routers`` and ``growth`` get entries.
    block : str
        The block's name in the model.
    names : list of str
        Names of its adapted projections.
    shared : BlockGates
        Where these look for the gates.

    Returns
    -------
    list of callable
        What takes each change back.

    Raises
    ------
    InjectionError
        When the block cannot have a router.
    """
    config, context = mixture.adapters[names[0]].config, mixture.context
    parent = mixture.model.get_submodule(block)
    if isinstance(parent, (nn.Sequential, nn.ModuleList, nn.ModuleDict)):
        raise InjectionError(
            f"{block or 'the model'} is a {type(parent).__name__}, which has no forward of its own "
            "to route at; use scope='projection'"
        )
    for name in (ROUTER_NAME, GROWN_NAME):
        if hasattr(parent, name):
            raise InjectionError(f"{block} has a {name} of its own; use scope='projection'")
    weight = mixture.adapters[names[0]].base.weight
    features = weight.shape[1]
    if config.routed:
        own = torch.promote_types(weight.dtype, torch.float32)
        router = Router(features, config, device=weight.device, dtype=own)
        parent.add_module(ROUTER_NAME, router.train(parent.training))
        mixture.routers[block] = router
    gates = GrownGates(features, config, weight).train(parent.training)
    parent.add_module(GROWN_NAME, gates)
    mixture.growth[block] = gates

    def route(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        # Looked up anew: experts come and go.
        router, grown = mixture.routers.get(block), mixture.growth.get(block)
        if router is None and (grown is None or not len(grown.rows)):
            return
        inputs = next((v for v in (*args, *kwargs.values()) if isinstance(v, Tensor)), None)
        if inputs is None or inputs.shape[-1] != features:
            shape = None if inputs is None else list(inputs.shape)
            raise InjectionError(
                f"the input of {block or 'the block'} has shape {shape} but its router reads "
                f"{features} features; use scope='projection'"
            )
        if router is not None:
            routing = router(inputs, context.frame_mask(), context.cue())
            routing = routing.assigned(context.assigned())
            context.record(block, routing)
            shared.current = routing.gates
        if grown is not None and len(grown.rows):
            opening = grown(inputs, context.frame_mask())
            context.record_opening(block, opening)
            shared.grown = opening.gates

    def forget(module: nn.Module, args: Any, output: Any) -> None:
        shared.current = shared.grown = None

    def take_out() -> None:
        for name in (ROUTER_NAME, GROWN_NAME):
            parent._modules.pop(name, None)

    before = parent.register_forward_pre_hook(route, with_kwargs=True)
    # Also after an error, so that no later call finds gates of another input.
    after = parent.register_forward_hook(forget, always_call=True)
    return [take_out, before.remove, after.remove]
