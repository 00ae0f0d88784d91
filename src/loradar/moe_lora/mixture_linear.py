"""A frozen linear map with experts beside it, of whatever kind."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from loradar.errors import InjectionError
from loradar.moe_lora.config import MoeLoraConfig
from loradar.moe_lora.context import BlockGates, RoutingContext
from loradar.moe_lora.function import linear_pair, shared_input_linear
from loradar.moe_lora.grown import GrownExpert, GrownGates
from loradar.moe_lora.router import Router


class BypassError(InjectionError, AttributeError):
    """The raw weight of an adapted projection was asked for: its adapter would be bypassed.

    It is an `AttributeError` too, so that ``hasattr`` and ``getattr`` with a default work.
    """


class MixtureLinear(nn.Module, ABC):
    """``y = W x + b + (alpha / r) * sum_e g_e * B_e (A_e x)``, whatever ``A_e`` and ``B_e`` are.

    Takes the input down in one product (with the router's rows where there is a router of its own),
    leaves it to the kind of experts to add what they make of it, and adds grown experts.

    Parameters
    ----------
    base : nn.Linear
        The map to adapt; its weight and bias are frozen.
    config : MoeLoraConfig
        Sizes and routing, of this layer (`MoeLoraConfig.at`).
    shared : BlockGates, optional
        Where the block leaves its gates. Without it the layer has a router, and gates for grown
        experts, of its own.

    Attributes
    ----------
    router : Router or None
        The layer's own router.
    grown : nn.ModuleList
        The experts added later, each a `GrownExpert`.
    grown_gates : GrownGates or None
        The layer's own gates for them.

    Raises
    ------
    InjectionError
        When ``base`` computes something else than a plain linear map (a quantised one, say).
    """

    def __init__(
        self, base: nn.Linear, config: MoeLoraConfig, *, shared: BlockGates | None = None
    ) -> None:
        super().__init__()
        if type(base).forward is not nn.Linear.forward:
            raise InjectionError(
                f"cannot adapt a {type(base).__name__}: only plain linear modules can be wrapped"
            )
        self.config = config
        self.base: Any = base.requires_grad_(False)
        own = torch.promote_types(base.weight.dtype, torch.float32)
        self._make_experts(base, own)
        self.router: Router | None = None
        if config.routed and shared is None:
            self.router = Router(base.in_features, config, device=base.weight.device, dtype=own)
        self.grown = nn.ModuleList()
        self.grown_gates: GrownGates | None = None
        if shared is None:
            self.grown_gates = GrownGates(base.in_features, config, base.weight)
        self.shared = shared
        self._context: RoutingContext | None = None
        self._name = ""
        self.reset_parameters()
        for rank in config.grown:
            self.grown.append(GrownExpert(base, rank))

    @abstractmethod
    def _make_experts(self, base: nn.Linear, dtype: torch.dtype) -> None:
        """Make the experts' tensors, not yet filled, in ``dtype`` where ``base`` is."""

    @abstractmethod
    def reset_parameters(self) -> None:
        """Draw the experts anew, such that they add nothing; the router is left as it is."""

    @property
    @abstractmethod
    def down(self) -> Tensor:
        """``[downs * r, d_in]``: what takes the input down."""

    @abstractmethod
    def _add_experts(self, output: Tensor, low: Tensor, gates: Tensor | None) -> None:
        """Add the experts to ``output`` in place.

        Parameters
        ----------
        output : Tensor
            ``[N, d_out]``.
        low : Tensor
            ``[*P, downs, r]`` with ``N`` positions: the input times ``down``.
        gates : Tensor or None
            ``[*P, E]``, or in utterance routing ``[B, 1, E]``, in the type of ``low``; None where
            there is no router.
        """

    @abstractmethod
    def own_parameters(self) -> Iterator[nn.Parameter]:
        """Iterate over the experts' parameters, without the router's and those of grown ones."""

    @property
    @abstractmethod
    def first(self) -> nn.Parameter:
        """The parameter that is zero at the start, whose gradient proves that experts act."""

    @abstractmethod
    def factors(self, number: int, dtype: torch.dtype | None = None) -> tuple[Tensor, Tensor]:
        """Return ``A`` ``[r, d_in]`` and ``B`` ``[d_out, r]`` of an expert of the softmax.

        Detached. Its change where its gate is 1 is ``scale * B A``. ``dtype``: to work out both in;
        None is that of the parameters, which then may be what is returned.
        """

    @abstractmethod
    def lever(self, number: int) -> Tensor:
        """Return the tensor of an expert of the softmax that, set to zero, silences it alone."""

    @abstractmethod
    def size(self, number: int) -> int:
        """Return how many numbers an expert of the softmax has, those of a shared ``A`` too."""

    @abstractmethod
    def keep(self, numbers: list[int]) -> None:
        """Keep these experts of the softmax alone."""

    @property
    def trains(self) -> bool:
        """Whether any of the experts' parameters trains."""
        return any(parameter.requires_grad for parameter in self.own_parameters())

    @property
    def grown_experts(self) -> list[GrownExpert]:
        """``grown`` as what it holds."""
        return [expert for expert in self.grown if isinstance(expert, GrownExpert)]

    @property
    def in_features(self) -> int:
        """Size of the input's last axis."""
        return int(self.base.in_features)

    @property
    def out_features(self) -> int:
        """Size of the output's last axis."""
        return int(self.base.out_features)

    @torch.no_grad()
    def change(self) -> Tensor:
        """Return what the experts add to the weight where all gates are 1, ``[d_out, d_in]``.

        In float64, so that a merge rounds once.
        """
        total = torch.zeros((), dtype=torch.float64, device=self.base.weight.device)
        for number in range(self.config.experts):
            A, B = self.factors(number, torch.float64)
            total = total + self.config.scale * (B @ A)
        return total

    def join(self, context: RoutingContext, name: str) -> None:
        """Take the frame mask from ``context``, and record routing there as ``name``."""
        self._context = context
        self._name = name

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name not in ("weight", "bias"):
                raise
        raise BypassError(
            f"the model reads the {name} of {self._name or 'an adapted projection'} directly "
            "instead of calling it, so its adapter would be bypassed: adapt other targets, or "
            "give the model an attention that calls its projections"
        )

    def extra_repr(self) -> str:
        """Describe the adapter for ``print(model)``."""
        grown = f", grown={len(self.grown)}" if len(self.grown) else ""
        return f"experts={self.config.experts}, rank={self.config.rank}{grown}"

    def forward(self, inputs: Tensor, gates: Tensor | None = None) -> Tensor:
        """Apply the adapted map.

        Parameters
        ----------
        inputs : Tensor
            ``[B, T, d_in]``; for frame routing and plain LoRA any ``[..., d_in]``.
        gates : Tensor, optional
            ``[..., E]`` (frame) or ``[B, E]`` (utterance) to use instead of the router's; with G
            grown experts ``E + G``. Without a router, those of grown experts alone count.

        Returns
        -------
        Tensor
            ``[..., d_out]``.

        Raises
        ------
        InjectionError
            When the gates are not there or are not those of the input's frames.
        """
        device = inputs.device.type
        if torch.is_autocast_enabled(device):
            low_precision = inputs.to(torch.get_autocast_dtype(device))
            with torch.autocast(device, enabled=False):
                return self._forward(low_precision, inputs, gates)
        return self._forward(inputs, inputs, gates)

    def _forward(self, inputs: Tensor, router_inputs: Tensor, gates: Tensor | None) -> Tensor:
        dtype, leading = inputs.dtype, inputs.shape[:-1]
        rows = self.config.downs * self.config.rank
        router = self.router if gates is None else None
        grown = None
        if gates is not None and len(self.grown):
            self._check_gates(gates, leading, self.config.total)
            gates, grown = torch.split(gates, [self.config.experts, len(self.grown)], dim=-1)
        down = self.down.to(dtype)
        dropping = self.config.dropout > 0 and self.training
        # In full precision the router's rows ride along with A: no pass of their own over x.
        riding = router is not None and not dropping and router.weight.dtype == dtype
        if riding:
            assert router is not None
            down = torch.cat([down, router.rows])
        output, low = self._base_and_down(inputs.reshape(-1, self.in_features), down, dropping)
        if self.config.routed:
            frame_logits = None
            if riding:
                low, frame_logits = torch.split(low, [rows, self.config.experts], dim=1)
                frame_logits = frame_logits.view(*leading, -1)
            if gates is None:
                gates = self._find_gates(router_inputs, frame_logits)
            gates = self._fitting(gates, leading, dtype)
        else:
            gates = None
        # In place: the base's output is fresh and nobody keeps it.
        self._add_experts(output, low.view(*leading, self.config.downs, self.config.rank), gates)
        if len(self.grown):
            self._add_grown(output, inputs, self._find_grown(router_inputs, grown))
        return output.view(*leading, -1)

    def _add_grown(self, output: Tensor, inputs: Tensor, gates: Tensor) -> None:
        """Add the grown experts to ``output`` ``[N, d_out]`` in place.

        In products of their own: a gate of 0 adds an exact 0, where wider products would round
        the old experts' sums otherwise.
        """
        leading = inputs.shape[:-1]
        utterance = self.config.granularity == "utterance"
        self._check_gates(gates, leading, len(self.grown))
        if utterance:
            gates = gates.unsqueeze(1).expand(*leading, -1)
        flat, gates = inputs.reshape(-1, self.in_features), gates.reshape(-1, len(self.grown))
        for place, expert in enumerate(self.grown_experts):
            expert.add_to(output, flat, gates[:, place : place + 1], self.config)

    def _base_and_down(self, inputs: Tensor, down: Tensor, dropping: bool) -> tuple[Tensor, Tensor]:
        """Return the base's output ``[N, d_out]`` and the inputs times ``down``, ``[N, m]``."""
        if not isinstance(self.base, nn.Linear):
            # Replaced for inference, by a quantised map say: it has its own way to the product.
            return self.base(inputs), inputs @ down.t()
        bias = None if self.base.bias is None else self.base.bias.to(inputs.dtype)
        weight = self.base.weight.to(inputs.dtype)
        if dropping:
            dropped = F.dropout(inputs, self.config.dropout)
            return F.linear(inputs, weight, bias), F.linear(dropped, down)
        if torch.is_grad_enabled():
            return shared_input_linear(inputs, weight, bias, down)
        return linear_pair(inputs, weight, bias, down)

    def _find_gates(self, inputs: Tensor, frame_logits: Tensor | None) -> Tensor:
        """Return the gates of the layer's own router, or of its block's."""
        if self.router is None:
            gates = None if self.shared is None else self.shared.current
            if gates is None:
                raise self._outside()
            return gates
        if frame_logits is None:
            frame_logits = self.router.logits(inputs)
        if self._context is None:
            return self.router.route(frame_logits).gates
        context = self._context
        routing = self.router.route(frame_logits, context.frame_mask(), context.cue())
        routing = routing.assigned(context.assigned())
        context.record(self._name, routing)
        return routing.gates

    def _find_grown(self, inputs: Tensor, given: Tensor | None) -> Tensor:
        """Return the gates of grown experts: given, the layer's own, or the block's."""
        if given is not None:
            return given
        if self.grown_gates is None:
            gates = None if self.shared is None else self.shared.grown
            if gates is None:
                raise self._outside()
            return gates
        if self._context is None:
            return self.grown_gates(inputs).gates  # type: ignore[no-any-return]
        opening = self.grown_gates(inputs, self._context.frame_mask())
        self._context.record_opening(self._name, opening)
        return opening.gates  # type: ignore[no-any-return]

    def _outside(self) -> InjectionError:
        return InjectionError(
            f"{self._name or 'the projection'} was called outside its block's forward, "
            'where no router has run; use scope="projection" for it'
        )

    def _fitting(self, gates: Tensor, leading: torch.Size, dtype: torch.dtype) -> Tensor:
        """Return checked gates as `_add_experts` takes them."""
        self._check_gates(gates, leading, self.config.experts)
        gates = gates.to(dtype)
        return gates.unsqueeze(1) if self.config.granularity == "utterance" else gates

    def _check_gates(self, gates: Tensor, leading: torch.Size, experts: int) -> None:
        """Raise `InjectionError` when the gates are not those of the input's frames."""
        frames = leading[:1] if self.config.granularity == "utterance" else leading
        wanted = [*frames, experts]
        if list(gates.shape) != wanted:
            raise InjectionError(
                f"{self._name or 'the projection'} has gates of shape {list(gates.shape)} where "
                f"its input needs {wanted}: it does not see the frames its block's router "
                'saw; use scope="projection" for it'
            )
