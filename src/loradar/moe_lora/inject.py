"""Putting a mixture of LoRA experts into a model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from torch import Tensor, nn

from loradar.errors import CheckpointError, ConfigError, InjectionError
from loradar.moe_lora.adapters import read_adapters
from loradar.moe_lora.allocation import experts_of_blocks
from loradar.moe_lora.config import MoeLoraConfig
from loradar.moe_lora.context import BlockGates, RoutingContext
from loradar.moe_lora.gating import gate_block
from loradar.moe_lora.layer import MoeLoraLinear
from loradar.moe_lora.mixture import MoeLora
from loradar.moe_lora.mixture_linear import MixtureLinear
from loradar.moe_lora.self_routed import SelfRoutedLinear
from loradar.moe_lora.self_test import CallCheck, prove_by_gradient
from loradar.moe_lora.singular import SingularLinear

Probe = Callable[[], Tensor]

_KINDS: dict[str, type[MixtureLinear]] = {
    "lora": MoeLoraLinear,
    "singular_values": SingularLinear,
    "singular_matrix": SingularLinear,
}


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
    ConfigError
        When ``layers``, ``experts_by_layer`` or a rank of singular values asks for more than the
        model has.

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
    adapters: dict[str, MixtureLinear] = {}
    undo: list[Callable[[], None]] = []
    # Without frozen experts until the proof is done: it needs a gradient in each adapter.
    mixture = MoeLora(model, replace(config, frozen=()), context, adapters, undo)
    try:
        numbers = experts_of_blocks(mixture.config, len(blocks))
        for (block, names), experts in zip(blocks.items(), numbers, strict=True):
            _adapt_block(model, block, names, mixture, undo, mixture.config.at(experts))
        start = model.register_forward_pre_hook(lambda module, args: context.begin())
        undo.append(start.remove)
        if probe is None:
            parents = {block: model.get_submodule(block) for block in blocks}
            undo.append(CallCheck(model, parents, adapters).remove)
        else:
            prove_by_gradient(model, adapters, probe)
            context.forget()
        mixture.freeze(*config.frozen)
    except BaseException:
        mixture.undo()
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
        if isinstance(module, MixtureLinear):
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
    config: MoeLoraConfig,
) -> None:
    """Adapt one block; for each change, add what takes it back to ``undo``."""
    kind = SelfRoutedLinear if config.self_routed else _KINDS[config.kind]
    parent = model.get_submodule(block)
    shared = BlockGates() if config.scope == "block" else None
    for name in names:
        leaf = name.rpartition(".")[2]
        base = parent.get_submodule(leaf)
        assert isinstance(base, nn.Linear)
        undo.append(_restorer(parent, leaf, base))
        adapter = kind(base, config, shared=shared).train(base.training)
        adapter.join(mixture.context, name)
        setattr(parent, leaf, adapter)
        mixture.adapters[name] = adapter
        if adapter.router is not None:
            mixture.routers[name] = adapter.router
        if adapter.grown_gates is not None:
            mixture.growth[name] = adapter.grown_gates
    if shared is not None and (config.routed or config.grown):
        undo.extend(gate_block(mixture, block, names, shared))


def _restorer(parent: nn.Module, leaf: str, base: nn.Linear) -> Callable[[], None]:
    """Return what puts ``base`` back, trainable where it was."""
    trainable = [parameter for parameter in base.parameters() if parameter.requires_grad]

    def restore() -> None:
        setattr(parent, leaf, base)
        for parameter in trainable:
            parameter.requires_grad_(True)

    return restore
