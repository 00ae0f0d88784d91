"""The handle on a model's adapters and routers."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import torch
from torch import Tensor, nn

from loradar.errors import CheckpointError, LoradarError
from loradar.moe_lora import edit
from loradar.moe_lora.adapters import compare_names, read_adapters, write_adapters
from loradar.moe_lora.config import MoeLoraConfig
from loradar.moe_lora.context import RoutingContext
from loradar.moe_lora.grown import GrownGates
from loradar.moe_lora.losses import collect
from loradar.moe_lora.merge import check_mergeable, merge_layers
from loradar.moe_lora.mixture_linear import MixtureLinear
from loradar.moe_lora.router import Router
from loradar.moe_lora.statistics import RoutingStatistics


class MoeLora:
    """What `loradar.moe_lora.inject` returns: adapters and routers of one model, by name.

    Attributes
    ----------
    model : nn.Module
        The adapted model.
    config : MoeLoraConfig
        Its settings.
    adapters : dict of str to MixtureLinear
        By the name of the module they stand in for. Empty after `merge` and `undo`.
    routers : dict of str to Router
        By the name of their block (scope ``block``) or adapter (scope ``projection``). Empty for
        ``experts == 1`` and ``routing`` self.
    growth : dict of str to GrownGates
        The gates of grown experts, by the same names; those of a block appear with its router.
    context : RoutingContext
        Mask and records of the forward in progress.

    Notes
    -----
    Losses, `gates` and `mask` concern the calling thread's last forward of the model; statistics
    sum over all forwards of all threads. Gradient checkpointing works (with
    ``use_reentrant=False`` where auxiliary losses are on); the backward must then come before
    the next forward with another mask.
    """

    def __init__(
        self,
        model: nn.Module,
        config: MoeLoraConfig,
        context: RoutingContext,
        adapters: dict[str, MixtureLinear],
        steps: list[Callable[[], None]],
    ) -> None:
        self.model = model
        self.config = config
        self.adapters = adapters
        self.routers: dict[str, Router] = {}
        self.growth: dict[str, GrownGates] = {}
        self.context = context
        # What takes each change to the model back, to be run from the last to the first.
        self.steps = steps

    def parameters(self) -> Iterator[nn.Parameter]:
        """Iterate over the parameters of adapters, routers and grown experts."""
        for adapter in self.adapters.values():
            yield from adapter.own_parameters()
            yield from adapter.grown.parameters()
        for router in self.routers.values():
            yield from router.parameters()
        for gates in self.growth.values():
            yield from gates.rows

    def num_parameters(self) -> int:
        """Return how many numbers adapters, routers and grown experts hold."""
        return sum(parameter.numel() for parameter in self.parameters())

    def mask(
        self, frame_mask: Tensor | None, cue: Tensor | None = None
    ) -> AbstractContextManager[None]:
        """Say which frames are valid, and what else routers hear, inside the ``with`` block.

        Padding then never votes in utterance means, losses or statistics.

        Parameters
        ----------
        frame_mask : Tensor or None
            ``[B, T]`` bool, True at valid frames; T is the number of frames the adapted blocks
            see. None means all.
        cue : Tensor, optional
            ``[B, cue_size]``: numbers of each clip that the routers read beside the hidden state.

        Examples
        --------
        >>> with mixture.mask(frame_mask):  # doctest: +SKIP
        ...     logits = model(waveforms)
        """
        return self.context.masked(frame_mask, cue)

    def assign(self, numbers: Tensor | None) -> AbstractContextManager[None]:
        """Give each clip one expert, whatever the routers say, inside the ``with`` block.

        For experts that are to learn one attack each before routers choose among them.

        Parameters
        ----------
        numbers : Tensor or None
            ``[B]`` int, the expert of each clip; None: the routers choose.

        Examples
        --------
        >>> with mixture.assign(numbers):  # doctest: +SKIP
        ...     logits = model(waveforms)
        """
        return self.context.assigning(numbers)

    def auxiliary_loss(self) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the losses of the last forward, summed over routers.

        Returns
        -------
        total : Tensor
            Scalar to add to the task's loss, weighted as the configuration says.
        terms : dict of str to Tensor
            Each term unweighted and detached: ``balance``, ``z`` (with ``routing`` self:
            ``selection``), ``orthogonality`` (summed over adapters) and ``entropy``. Empty for
            ``experts == 1``, whose total is 0.

        Raises
        ------
        LoradarError
            When the model has not run in this thread.
        """
        if not self.config.mixes:
            return torch.zeros((), device=self._device()), {}
        self._need_forward("auxiliary_loss")
        routings = self.context.routings
        lost = [
            name
            for name, routing in routings.items()
            if self._learns(name) and not routing.logits.requires_grad
        ]
        if lost and torch.is_grad_enabled():
            warnings.warn(
                f"the auxiliary losses of {lost[0]} have no gradient: the last forward ran under "
                "no_grad or in reentrant gradient checkpointing (use use_reentrant=False)",
                RuntimeWarning,
                stacklevel=2,
            )
        matrices = [adapter.down for adapter in self.adapters.values()]
        return collect(routings.values(), matrices, self.config)

    def statistics(self) -> RoutingStatistics:
        """Return load, gates, entropy and dead experts since `reset_statistics`."""
        return RoutingStatistics.of(self.context.totals, self.context.opening_totals)

    def reset_statistics(self) -> None:
        """Start the statistics anew."""
        self.context.reset_totals()

    def gates(self) -> dict[str, Tensor]:
        """Return the mean gates of each clip of the last forward.

        Returns
        -------
        dict of str to Tensor
            ``[B, E]`` by router, over valid frames, detached; zeros for a clip without any.
            Grown experts follow, ``[B, E + G]``; plain LoRA among them has gate 1. With ``routing``
            self ``[B, E - 1]`` by adapter: each expert's share, without the shared one's.

        Raises
        ------
        LoradarError
            When the model has not run in this thread.
        """
        if not self.config.mixes and not self.config.grown:
            return {}
        self._need_forward("gates")
        gates = {name: routing.clip_gates() for name, routing in self.context.routings.items()}
        for name, opening in self.context.openings.items():
            grown = opening.clip_gates()
            first = gates.get(name, torch.ones_like(grown[:, :1]))
            gates[name] = torch.cat([first, grown], 1)
        return gates

    def train(self) -> None:
        """Put in training mode what trains, and what is frozen in evaluation mode.

        Dropout and router noise of frozen experts would make them other than they were.
        """
        for adapter in self.adapters.values():
            adapter.train(adapter.trains)
            for expert in adapter.grown_experts:
                expert.train(expert.A.requires_grad)
        for router in self.routers.values():
            router.train(router.weight.requires_grad)

    def add_expert(self, rank: int | None = None) -> int:
        """Append an expert to every adapter, with a gate of its own; see `edit.add_expert`."""
        return edit.add_expert(self, rank)

    def freeze(self, *numbers: int) -> None:
        """Keep experts as they are in all further training; see `edit.freeze`."""
        edit.freeze(self, numbers)

    def remove(self, *numbers: int) -> None:
        """Take experts out of every adapter; see `edit.remove`."""
        edit.remove(self, numbers)

    def turn(self, number: int, name: str) -> None:
        """Turn the sign of a grown expert's gate and ``B``; see `edit.turn`."""
        edit.turn(self, number, name)

    def tensors_of(self, number: int) -> dict[str, tuple[Tensor, Tensor]]:
        """Return an expert's ``A`` ``[r, d_in]`` and ``B`` ``[d_out, r]`` by adapter, detached.

        Its change where its gate is 1 is ``scale * B A``. Those of a LoRA are the layer's own, not
        copies; of other kinds they are worked out. Adapters of layers without it are left out.

        Raises
        ------
        ConfigError
            When there is no such expert.
        """
        return edit.tensors_of(self, number)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the tensors of adapters and routers under their names in the model's own.

        Fixed ones of the experts, such as singular vectors of the frozen weights, are among them.
        """
        fixed = (tensor for a in self.adapters.values() for tensor in a.buffers(recurse=False))
        own = {id(tensor) for tensor in (*self.parameters(), *fixed)}
        return {
            name: tensor.detach()
            for name, tensor in (*self.model.named_parameters(), *self.model.named_buffers())
            if id(tensor) in own
        }

    def load_state_dict(self, tensors: Mapping[str, Tensor], where: str = "state dict") -> None:
        """Copy ``tensors`` into adapters and routers, all or none.

        Raises
        ------
        CheckpointError
            When a tensor is missing, unknown or of another shape.
        """
        own = self.state_dict()
        compare_names(tensors, own, where)
        for name, tensor in tensors.items():
            if tensor.shape != own[name].shape:
                raise CheckpointError(
                    f"{where}: tensor {name} has shape {list(tensor.shape)} but the model needs "
                    f"{list(own[name].shape)}; it was made for another base model"
                )
        for name, tensor in tensors.items():
            own[name].copy_(tensor)

    def save(self, folder: Path | str) -> None:
        """Write ``moe_lora.safetensors`` and ``moe_lora.json`` to ``folder``.

        Raises
        ------
        CheckpointError
            When the adapters have been taken out of the model.
        """
        if not self.adapters:
            raise CheckpointError("there are no adapters to save: they were merged or taken out")
        write_adapters(folder, self.config, self.state_dict())

    def load(self, folder: Path | str) -> None:
        """Read what `save` wrote, bit for bit, into these adapters.

        Raises
        ------
        CheckpointError
            When a file is missing, altered or of another kind, or was saved with other settings.
        """
        config, tensors = read_adapters(folder)
        if config != self.config:
            mine, other = self.config.to_dict(), config.to_dict()
            name = next(k for k in {**mine, **other} if mine.get(k) != other.get(k))
            raise CheckpointError(
                f"{folder}: saved with {name}={other.get(name)!r}, but the model was adapted with "
                f"{mine.get(name)!r}"
            )
        self.load_state_dict(tensors, str(folder))

    def merge(self) -> None:
        """Fold the adapters into the base weights and put the plain modules back.

        Raises
        ------
        MergeError
            When there is a router: gates change with the input, weights cannot.
        """
        check_mergeable(self.config)
        merge_layers(self.adapters.values())
        self.undo()

    def undo(self) -> None:
        """Take adapters and routers out of the model and put the plain modules back."""
        while self.steps:
            self.steps.pop()()
        self.adapters.clear()
        self.routers.clear()
        self.growth.clear()

    def _learns(self, name: str) -> bool:
        """Whether the choices recorded as ``name`` should have a gradient."""
        router = self.routers.get(name)
        if router is not None:
            return router.training and router.weight.requires_grad
        adapter = self.adapters[name]
        return adapter.training and adapter.trains and self.config.teaches_choice

    def _device(self) -> torch.device | None:
        return next((parameter.device for parameter in self.parameters()), None)

    def _need_forward(self, what: str) -> None:
        if not self.context.started:
            raise LoradarError(f"{what} is about the last forward, but the model has not run yet")
