"""Putting a mixture of LoRA experts into a model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from loradar.errors import CheckpointError, ConfigError, InjectionError
from loradar.moe_lora.adapters import read_adapters
from loradar.moe_lora.config import MoeLoraConfig
from loradar.moe_lora.context import BlockGates, RoutingContext
from loradar.moe_lora.layer import MoeLoraLinear
from loradar.moe_lora.mixture import MoeLora
from loradar.moe_lora.router import Router
from loradar.moe_lora.self_test import CallCheck, prove_by_gradient

# Name of a block's router among the block's own modules.
ROUTER_NAME = "moe_router"

Probe = Callable[[], Tensor]


def inject(model: nn.Module, config: MoeLoraConfig, probe: Probe | None = None) -> MoeLora:
    """Adapt the linear modules ``config.targets`` names, in place.

    Modules with the same parent form a block. The wrapped weights are frozen; the rest of the
    model is left to the caller, who will mostly freeze it.

    Parameters
    ----------
    model : nn.Module
        The model; its inputs to the blocks are ``[B, T, features]``.
    config : MoeLoraConfig
        What to adapt and how.
    probe : callable, optional
        Runs the model on some input and returns an output tensor. With it, one forward and
        backward prove that every adapter's change reaches the output; without it, the model's
        first forward proves that every adapter was called.

    Returns
    -------
    MoeLora
        The handle for losses, statistics, masks, saving and merging.

    Raises
    ------
    InjectionError
        When nothing, or something other than a linear module, has a target's name; when the model
        is adapted already; or when the proof fails. The model is then as it was.

    Examples
    --------
    >>> import torch
    >>> block = nn.ModuleDict({"q_proj": nn.Linear(8, 8), "v_proj": nn.Linear(8, 8)})
    >>> config = MoeLoraConfig(experts=2, rank=2, targets=("q_proj", "v_proj"), scope="projection")
    >>> x = torch.randn(1, 5, 8)
    >>> mixture = inject(block, config, lambda: block["q_proj"](x) + block["v_proj"](x))
    >>> list(mixture.adapters)
    ['q_proj', 'v_proj']
    """
    blocks = _find_blocks(model, config)
    context = RoutingContext()
    adapters: dict[str, MoeLoraLinear] = {}
    routers: dict[str, Router] = {}
    undo: list[Callable[[], None]] = []
    mixture = MoeLora(model, config, context, adapters, routers, lambda: _run(undo))
    try:
        for block, names in blocks.items():
            _adapt_block(model, block, names, mixture, undo)
        start = model.register_forward_pre_hook(lambda module, args: context.begin())
        undo.append(start.remove)
        if probe is None:
            parents = {block: model.get_submodule(block) for block in blocks}
            undo.append(CallCheck(model, parents, adapters).remove)
        else:
            prove_by_gradient(model, adapters, probe)
            context.forget()
    except BaseException:
        _run(undo)
        raise
    return mixture


def load(model: nn.Module, folder: Path | str, probe: Probe | None = None) -> MoeLora:
    """Adapt ``model`` as the adapters in ``folder`` say, and load them.

    Parameters
    ----------
    model : nn.Module
        A model like the one they were trained on.
    folder : path
        What `MoeLora.save` wrote.
    probe : callable, optional
        See `inject`.

    Raises
    ------
    CheckpointError
        When a file is missing, altered or of another kind, or does not fit the model.
    InjectionError
        See `inject`.
    """
    config, tensors = read_adapters(folder)
    mixture = inject(model, config, probe)
    try:
        mixture.load_state_dict(tensors, str(folder))
    except CheckpointError:
        mixture.undo()
        raise
    return mixture


def _find_blocks(model: nn.Module, config: MoeLoraConfig) -> dict[str, list[str]]:
    """Return the names of the modules to adapt, by block."""
    blocks: dict[str, list[str]] = {}
    found: set[str] = set()
    for name, module in model.named_modules():
        if isinstance(module, MoeLoraLinear):
            raise InjectionError(f"the model is adapted already (at {name})")
        # A target may be several parts long ("self_attn.q_proj").
        target = next((t for t in config.targets if f".{name}".endswith(f".{t}")), None)
        if target is None:
            continue
        if not isinstance(module, nn.Linear):
            raise InjectionError(
                f"{name} is named like the target {target!r} but is a {type(module).__name__}; "
                "only linear modules can be adapted"
            )
        found.add(target)
        blocks.setdefault(name.rpartition(".")[0], []).append(name)
    missing = [target for target in config.targets if target not in found]
    if missing:
        raise InjectionError(
            f"the model has no module named {missing[0]!r}; set targets to the last parts of the "
            "names of its linear modules"
        )
    if config.layers is None:
        return blocks
    beyond = [number for number in config.layers if number >= len(blocks)]
    if beyond:
        raise ConfigError(
            f"moe_lora.layers asks for block {beyond[0]}, but the model has {len(blocks)} blocks "
            f"to adapt (0 to {len(blocks) - 1})"
        )
    return {name: blocks[name] for n, name in enumerate(blocks) if n in config.layers}


def _adapt_block(
    model: nn.Module,
    block: str,
    names: list[str],
    mixture: MoeLora,
    undo: list[Callable[[], None]],
) -> None:
    """Adapt one block; for each change, add what takes it back to ``undo``."""
    config, context = mixture.config, mixture.context
    parent = model.get_submodule(block)
    shared = BlockGates() if config.routed and config.scope == "block" else None
    for name in names:
        leaf = name.rpartition(".")[2]
        base = parent.get_submodule(leaf)
        assert isinstance(base, nn.Linear)
        undo.append(_restorer(parent, leaf, base))
        adapter = MoeLoraLinear(base, config, shared=shared).train(base.training)
        adapter.join(context, name)
        setattr(parent, leaf, adapter)
        mixture.adapters[name] = adapter
        if adapter.router is not None:
            mixture.routers[name] = adapter.router
    if shared is None:
        return
    if isinstance(parent, (nn.Sequential, nn.ModuleList, nn.ModuleDict)):
        raise InjectionError(
            f"{block or 'the model'} is a {type(parent).__name__}, which has no forward of its own "
            "to route at; use scope='projection'"
        )
    if hasattr(parent, ROUTER_NAME):
        raise InjectionError(f"{block} has a {ROUTER_NAME} of its own; use scope='projection'")
    weight = mixture.adapters[names[0]].base.weight
    router = Router(
        weight.shape[1],
        config,
        device=weight.device,
        dtype=torch.promote_types(weight.dtype, torch.float32),
    ).train(parent.training)
    parent.add_module(ROUTER_NAME, router)
    undo.append(lambda: delattr(parent, ROUTER_NAME))
    mixture.routers[block] = router
    undo.extend(_hook_block(parent, block, router, shared, context))


def _hook_block(
    parent: nn.Module, block: str, router: Router, shared: BlockGates, context: RoutingContext
) -> list[Callable[[], None]]:
    """Make ``parent`` route its input as it starts and forget the gates as it ends."""

    def route(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        inputs = next((v for v in (*args, *kwargs.values()) if isinstance(v, Tensor)), None)
        if inputs is None or inputs.shape[-1] != router.weight.shape[1]:
            shape = None if inputs is None else list(inputs.shape)
            raise InjectionError(
                f"the input of {block or 'the block'} has shape {shape} but its router reads "
                f"{router.weight.shape[1]} features; use scope='projection'"
            )
        routing = router(inputs, context.frame_mask())
        context.record(block, routing)
        shared.current = routing.gates

    def forget(module: nn.Module, args: Any, output: Any) -> None:
        shared.current = None

    before = parent.register_forward_pre_hook(route, with_kwargs=True)
    # Also after an error, so that no later call finds gates of another input.
    after = parent.register_forward_hook(forget, always_call=True)
    return [before.remove, after.remove]


def _restorer(parent: nn.Module, leaf: str, base: nn.Linear) -> Callable[[], None]:
    """Return what puts ``base`` back, trainable where it was."""
    trainable = [parameter for parameter in base.parameters() if parameter.requires_grad]

    def restore() -> None:
        setattr(parent, leaf, base)
        for parameter in trainable:
            parameter.requires_grad_(True)

    return restore


def _run(steps: list[Callable[[], None]]) -> None:
    """Run ``steps`` from the last to the first, once."""
    while steps:
        steps.pop()()
