"""Proof that every adapter's change reaches the model's output.

Some models hold linear modules they never call: WavLM's attention, for one, hands the raw weights
of its projections to ``F.multi_head_attention_forward``. An adapter wrapped around such a module
would train nothing, silently.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from loradar.errors import InjectionError
from loradar.moe_lora.mixture_linear import MixtureLinear


def prove_by_gradient(
    model: nn.Module, adapters: Mapping[str, MixtureLinear], probe: Callable[[], Tensor]
) -> None:
    """Run ``probe`` in evaluation mode and demand a gradient in each adapter.

    Leaves no gradients behind, restores the training flags and the CPU's random state.

    Raises
    ------
    InjectionError
        Names the adapters whose change would not reach the output.
    """
    flags = {module: module.training for module in model.modules()}
    try:
        model.eval()  # layer drop would leave out blocks at random
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            output = probe()
            # A random direction: the sum of a normalised output has no gradient.
            generator = torch.Generator().manual_seed(0)
            direction = torch.randn(output.shape, generator=generator).to(output)
            score = (output * direction).sum()
            matrices = [adapter.first for adapter in adapters.values()]
            gradients: tuple[Tensor | None, ...] = (None,) * len(matrices)
            if score.requires_grad:
                gradients = torch.autograd.grad(score, matrices, allow_unused=True)
    finally:
        for module, training in flags.items():
            module.training = training
    dead = [
        name
        for name, gradient in zip(adapters, gradients, strict=True)
        if gradient is None or not bool(gradient.any())
    ]
    if dead:
        raise InjectionError(
            f"{_list(dead)}: the adapter's change does not reach the probe's output, so the model "
            "bypasses the module; adapt other targets or layers"
        )


class CallCheck:
    """Demands, after the model's first forward, that each block that ran called its adapters.

    Blocks left out by layer drop in training are checked in a later forward. Takes its hooks away
    when all is proven.

    Parameters
    ----------
    model : nn.Module
        The adapted model.
    blocks : mapping of str to nn.Module
        The parents of the adapters.
    adapters : mapping of str to MixtureLinear
        By name; the name begins with its block's.
    """

    def __init__(
        self,
        model: nn.Module,
        blocks: Mapping[str, nn.Module],
        adapters: Mapping[str, MixtureLinear],
    ) -> None:
        self._waiting: dict[str, set[str]] = {name: set() for name in blocks}
        for name in adapters:
            self._waiting[name.rpartition(".")[0]].add(name)
        self._ran: set[str] = set()
        self._called: set[str] = set()
        self._handles: list[RemovableHandle] = []
        for name, block in blocks.items():
            self._handles.append(block.register_forward_hook(self._note(self._ran, name)))
        for name, adapter in adapters.items():
            self._handles.append(adapter.register_forward_hook(self._note(self._called, name)))
        self._handles.append(model.register_forward_hook(self._check))

    @staticmethod
    def _note(names: set[str], name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            names.add(name)

        return hook

    def _check(self, model: nn.Module, inputs: Any, output: Any) -> None:
        ran = [name for name in self._waiting if name in self._ran]
        if not model.training:
            ran = list(self._waiting)
        missed = [n for block in ran for n in sorted(self._waiting[block] - self._called)]
        if missed:
            raise InjectionError(
                f"{_list(missed)}: the model's first forward did not call the adapter, so the "
                "model bypasses the module; adapt other targets or layers"
            )
        for name in ran:
            self._waiting.pop(name, None)  # another thread may have been faster
        if not self._waiting:
            self.remove()

    def remove(self) -> None:
        """Take the hooks away."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()


def _list(names: list[str], most: int = 4) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
