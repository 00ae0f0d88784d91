"""Experts among the singular values of the frozen weight."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from loradar.errors import ConfigError
from loradar.moe_lora.mixture_linear import MixtureLinear
from loradar.moe_lora.router import held, part


class SingularLinear(MixtureLinear):
    """Experts that change what the frozen weight does along its largest singular directions.

    With ``W = U S V^T``, cut to its r largest singular values (``U_r``: ``[d_out, r]``, ``S_r``:
    ``[r]``, ``V_r``: ``[d_in, r]``, all fixed), a learnt ``M_e`` for each expert and the gates of
    the same router:

        y = W x + b + (alpha / r) * U_r (sum_e g_e M_e) S_r V_r^T x

    Kind ``singular_values``: ``M_e = diag(m_e)``, so expert e scales the singular values by
    ``1 + m_e`` where its gate (and ``alpha / r``) is 1; kind ``singular_matrix``: any ``[r, r]``,
    so directions mix too. One product takes the input down (``S_r V_r^T``), and one takes it up
    (``U_r``), r wide whatever E is; between them the r numbers of a position are scaled, or
    multiplied with the E small matrices. Unlike a LoRA an expert cannot leave the space of the r
    directions that the base itself uses most.

    See `MixtureLinear` for parameters and the rest of the attributes.

    Attributes
    ----------
    M : nn.Parameter
        ``[E, r]`` or ``[E, r, r]``; zero, so the start equals the base. All experts are alike
        there: the router tells them apart from the first step on.
    below : Tensor
        ``S_r V_r^T``, ``[r, d_in]``. Like ``above`` saved with the experts, so that no other
        library's choice of signs or order between equal values can change a trained model.
    above : Tensor
        ``U_r``, ``[d_out, r]``.

    Raises
    ------
    ConfigError
        When ``rank`` is larger than the number of singular values.

    Notes
    -----
    Experts in the singular-value domain: MoSE (Interspeech 2026, paper 661), whose text was not at
    hand, so whether it scales or shifts, and what, is not known here. The vector is the singular
    value fine-tuning of Transformer-Squared (Sun et al. 2025, arXiv 2501.06252), whose expert
    vectors are mixed likewise; the matrix is in the basis of SVFT (Lingam et al. 2024, arXiv
    2405.19597), dense and on the largest directions alone.

    Examples
    --------
    >>> from loradar.moe_lora import MoeLoraConfig
    >>> config = MoeLoraConfig(experts=4, rank=16, kind="singular_values")
    >>> layer = SingularLinear(nn.Linear(16, 16), config)
    >>> x = torch.randn(3, 50, 16)
    >>> torch.equal(layer(x), layer.base(x))
    True
    """

    below: Tensor
    above: Tensor

    def _make_experts(self, base: nn.Linear, dtype: torch.dtype) -> None:
        experts, rank = self.config.experts, self.config.rank
        values = min(base.weight.shape)
        if rank > values:
            raise ConfigError(
                f"moe_lora.rank is {rank}, but a map of {base.in_features} to {base.out_features} "
                f"features has {values} singular values"
            )
        shape = (experts, rank) if self.config.kind == "singular_values" else (experts, rank, rank)
        self.M = nn.Parameter(base.weight.new_empty(shape, dtype=dtype))
        with torch.no_grad():
            U, S, V = torch.linalg.svd(base.weight.detach().to(dtype), full_matrices=False)
            self.register_buffer("below", (S[:rank, None] * V[:rank]).contiguous())
            self.register_buffer("above", U[:, :rank].contiguous())

    def reset_parameters(self) -> None:
        """Set ``M`` to zero; the router is left as it is."""
        nn.init.zeros_(self.M)

    @property
    def down(self) -> Tensor:
        """``below``."""
        return self.below

    @property
    def first(self) -> nn.Parameter:
        """``M``."""
        return self.M

    def own_parameters(self) -> Iterator[nn.Parameter]:
        """Iterate over ``M``."""
        yield self.M

    def factors(self, number: int, dtype: torch.dtype | None = None) -> tuple[Tensor, Tensor]:
        """Return ``S_r V_r^T`` and ``U_r M_e``: an expert is a LoRA of rank r."""
        dtype = self.M.dtype if dtype is None else dtype
        above, M = self.above.to(dtype), self.M.detach()[number].to(dtype)
        return self.below.to(dtype), above * M if M.ndim == 1 else above @ M

    def lever(self, number: int) -> Tensor:
        """Return an expert's ``M_e``."""
        return self.M.detach()[number]

    def size(self, number: int) -> int:
        """Return how many numbers ``M_e`` holds."""
        return self.M[number].numel()

    def keep(self, numbers: list[int]) -> None:
        """Keep these experts' ``M``."""
        self.M = part(self.M, self.config, numbers, dim=0)

    def _add_experts(self, output: Tensor, low: Tensor, gates: Tensor | None) -> None:
        low = low.squeeze(-2)
        M = held(self.M, self.config, dim=0).to(low.dtype)
        if gates is None:
            mixed = low * M[0] if M.ndim == 2 else low @ M[0].t()
        elif M.ndim == 2:
            mixed = low * (gates @ M)
        else:
            each = (low @ M.flatten(0, 1).t()).view(*low.shape[:-1], *M.shape[:2])
            mixed = (each * gates.unsqueeze(-1)).sum(-2)
        mixed = mixed.reshape(-1, self.config.rank)
        output.addmm_(mixed, self.above.to(low.dtype).t(), alpha=self.config.scale)
