"""A frozen linear map with a mixture of LoRA experts beside it."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from loradar.errors import InjectionError
from loradar.moe_lora.config import MoeLoraConfig
from loradar.moe_lora.context import BlockGates, RoutingContext
from loradar.moe_lora.function import linear_pair, shared_input_linear
from loradar.moe_lora.grown import GrownExpert, GrownGates
from loradar.moe_lora.router import Router, held


class BypassError(InjectionError, AttributeError):
    """The raw weight of an adapted projection was asked for: its adapter would be bypassed.

    It is an `AttributeError` too, so that ``hasattr`` and ``getattr`` with a default work.
    """


class MoeLoraLinear(nn.Module):
    """``y = W x + b + (alpha / r) * sum_e g_e * B_e (A_e x)``, all experts in two products.

    The stacked ``A`` takes the input to E * r channels, the gates scale these in groups of r, and
    the stacked ``B`` adds the result in place onto the base's output. Sum and order of experts
    do not matter to a matrix product, so this equals a loop over experts at the cost of one LoRA
    of rank E * r, whatever k is.

    Parameters
    ----------
    base : nn.Linear
        The map to adapt; its weight and bias are frozen.
    config : MoeLoraConfig
        Sizes and routing. With ``experts == 1`` this is plain LoRA, without a router.
    shared : BlockGates, optional
        Where the block leaves its gates. Without it the layer has a router, and gates for grown
        experts, of its own.

    Attributes
    ----------
    A : nn.Parameter
        ``[E * r, d_in]``, expert e in rows ``e * r`` to ``(e + 1) * r``, or with ``shared_down``
        ``[r, d_in]`` for all; Kaiming-uniform. Like ``B`` and the router in float32 where the base
        has less: its steps in training are smaller than such a type can add.
    B : nn.Parameter
        ``[d_out, E * r]``, expert e in the same columns; zero, so the start equals the base.
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

    Notes
    -----
    LoRA: Hu et al. 2021, arXiv 2106.09685.

    Examples
    --------
    >>> layer = MoeLoraLinear(nn.Linear(16, 16), MoeLoraConfig(experts=4, rank=2))
    >>> x = torch.randn(3, 50, 16)
    >>> torch.equal(layer(x), layer.base(x))
    True
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
        rows = config.experts * config.rank
        down_rows = config.downs * config.rank
        own = torch.promote_types(base.weight.dtype, torch.float32)
        self.A = nn.Parameter(base.weight.new_empty(down_rows, base.in_features, dtype=own))
        self.B = nn.Parameter(base.weight.new_empty(base.out_features, rows, dtype=own))
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

    def reset_parameters(self) -> None:
        """Draw ``A`` anew and set ``B`` to zero; the router is left as it is."""
        nn.init.kaiming_uniform_(self.A, a=math.sqrt(5))
        nn.init.zeros_(self.B)

    def join(self, context: RoutingContext, name: str) -> None:
        """Take the frame mask from ``context``, and record routing there as ``name``."""
        self._context = context
        self._name = name

    @property
    def down(self) -> Tensor:
        """``A``, without a gradient for the rows of frozen experts, or at all if one shares it."""
        config = self.config
        if config.shared_down and any(number < config.experts for number in config.frozen):
            return self.A.detach()
        return self.A if config.shared_down else held(self.A, config, dim=0)

    @property
    def up(self) -> Tensor:
        """``B``, without a gradient for the columns of frozen experts."""
        return held(self.B, self.config, dim=1)

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
            grown experts ``E + G``.

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
            low = self._scale(low.view(*leading, self.config.downs, -1), gates)
        # In place: the base's output is fresh and nobody keeps it.
        output.addmm_(low, self.up.to(dtype).t(), alpha=self.config.scale)
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

    def _scale(self, low: Tensor, gates: Tensor) -> Tensor:
        """Scale ``[*leading, E or 1, r]`` by the gates; returns ``[N, E * r]``."""
        leading, experts = low.shape[:-2], self.config.experts
        self._check_gates(gates, leading, experts)
        gates = gates.to(low.dtype)
        if self.config.granularity == "utterance":
            gates = gates.unsqueeze(1)
        return (low * gates.unsqueeze(-1)).reshape(-1, experts * low.shape[-1])

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
