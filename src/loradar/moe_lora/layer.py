"""Experts that are LoRAs."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from loradar.moe_lora.mixture_linear import MixtureLinear
from loradar.moe_lora.router import held, part


class MoeLoraLinear(MixtureLinear):
    """``y = W x + b + (alpha / r) * sum_e g_e * B_e (A_e x)``, all experts in two products.

    The stacked ``A`` takes the input to E * r channels, the gates scale these in groups of r, and
    the stacked ``B`` adds the result in place onto the base's output. Sum and order of experts
    do not matter to a matrix product, so this equals a loop over experts at the cost of one LoRA
    of rank E * r, whatever k is. With ``experts == 1`` it is plain LoRA, without a router.

    See `MixtureLinear` for parameters and the rest of the attributes.

    Attributes
    ----------
    A : nn.Parameter
        ``[E * r, d_in]``, expert e in rows ``e * r`` to ``(e + 1) * r``, or with ``shared_down``
        ``[r, d_in]`` for all; Kaiming-uniform. Like ``B`` and the router in float32 where the base
        has less: its steps in training are smaller than such a type can add.
    B : nn.Parameter
        ``[d_out, E * r]``, expert e in the same columns; zero, so the start equals the base.

    Notes
    -----
    LoRA: Hu et al. 2021, arXiv 2106.09685.

    Examples
    --------
    >>> from loradar.moe_lora import MoeLoraConfig
    >>> layer = MoeLoraLinear(nn.Linear(16, 16), MoeLoraConfig(experts=4, rank=2))
    >>> x = torch.randn(3, 50, 16)
    >>> torch.equal(layer(x), layer.base(x))
    True
    """

    def _make_experts(self, base: nn.Linear, dtype: torch.dtype) -> None:
        config = self.config
        rows, columns = config.downs * config.rank, config.experts * config.rank
        self.A = nn.Parameter(base.weight.new_empty(rows, base.in_features, dtype=dtype))
        self.B = nn.Parameter(base.weight.new_empty(base.out_features, columns, dtype=dtype))

    def reset_parameters(self) -> None:
        """Draw ``A`` anew and set ``B`` to zero; the router is left as it is."""
        nn.init.kaiming_uniform_(self.A, a=math.sqrt(5))
        nn.init.zeros_(self.B)

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
    def first(self) -> nn.Parameter:
        """``B``."""
        return self.B

    def own_parameters(self) -> Iterator[nn.Parameter]:
        """Iterate over ``A`` and ``B``."""
        yield self.A
        yield self.B

    def factors(self, number: int, dtype: torch.dtype | None = None) -> tuple[Tensor, Tensor]:
        """Return an expert's ``A`` and ``B``; without ``dtype`` the layer's own, not copies."""
        config = self.config
        A = self.A.detach()
        if not config.shared_down:
            A = A.chunk(config.experts, 0)[number]
        B = self.B.detach().chunk(config.experts, 1)[number]
        return (A, B) if dtype is None else (A.to(dtype), B.to(dtype))

    def lever(self, number: int) -> Tensor:
        """Return an expert's ``B``."""
        return self.factors(number)[1]

    def size(self, number: int) -> int:
        """Return how many numbers ``A`` and ``B`` of an expert hold."""
        return sum(factor.numel() for factor in self.factors(number))

    def keep(self, numbers: list[int]) -> None:
        """Keep these experts' rows of ``A`` and columns of ``B``."""
        if not self.config.shared_down:
            self.A = part(self.A, self.config, numbers, dim=0)
        self.B = part(self.B, self.config, numbers, dim=1)

    def _add_experts(self, output: Tensor, low: Tensor, gates: Tensor | None) -> None:
        if gates is not None:
            low = low * gates.unsqueeze(-1)
        up = self.up.to(low.dtype)
        output.addmm_(low.reshape(-1, up.shape[1]), up.t(), alpha=self.config.scale)
