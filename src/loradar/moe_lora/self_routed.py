"""Experts that route themselves, and fold into the frozen weight."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from loradar.moe_lora.layer import MoeLoraLinear
from loradar.moe_lora.router import Routing, checked_mask, held

_EPSILON = 1e-6


class SelfRoutedLinear(MoeLoraLinear):
    """A mixture without a router, linear in its input (FURINA, Han et al., arXiv 2509.14900).

    The last of the E experts is shared: a plain LoRA, always at work. Each of the others gives but
    the direction of its change; its size is a vector ``m`` that all of them share:

        y = W x + b + (alpha / r) * (B_s A_s x + m * sum_e D_e x)
        D_e = diag(1 / (n_e + eps)) B_e A_e            n_e: norms of the rows of B_e A_e, [d_out]

    ``D_e x`` is ``|x|`` times the cosines between the input and the rows of ``D_e``, so an expert
    answers by how well the input fits its own direction, and no other size of its own can stand in
    for that. All of it is one matrix: ``W + (alpha / r) * (B_s A_s + diag(m) sum_e D_e)``, to which
    `MoeLora.merge` folds it exactly. The norms come from ``A_e A_e^T`` (``[r, r]``), so this is two
    dense products as in `MoeLoraLinear`, with ``B`` scaled row by row.

    What each expert does at a position, for the balance loss, the selection loss and the
    statistics, is its share ``p_e = |D_e x| / sum |D_i x|``; the ``top_k`` largest count as
    chosen.

    Parameters are those of `MoeLoraLinear`, with ``config.routing`` self.

    Attributes
    ----------
    A : nn.Parameter
        ``[E * r, d_in]``, Kaiming-uniform.
    B : nn.Parameter
        ``[d_out, E * r]``: uniform within ``1 / sqrt(r)``, since a direction cannot be zero; the
        shared expert's columns, the last r, are zero.
    magnitude : nn.Parameter
        ``m``, ``[d_out]``; zero, so the start equals the base.

    Notes
    -----
    The paper was not at hand in full: the form follows its abstract and a published summary of its
    second version that goes through direction, shared magnitude, shared expert, both losses and the
    merge. Not told there, and so ours: that norms are Euclidean (which makes the cosines), that
    activations are compared by their Euclidean norms, and the start.
    """

    def _make_experts(self, base: nn.Linear, dtype: torch.dtype) -> None:
        super()._make_experts(base, dtype)
        self.magnitude = nn.Parameter(base.weight.new_empty(base.out_features, dtype=dtype))

    def reset_parameters(self) -> None:
        """Draw ``A`` and the directions' ``B`` anew; magnitude and shared ``B`` are zero."""
        rank = self.config.rank
        nn.init.kaiming_uniform_(self.A, a=math.sqrt(5))
        nn.init.uniform_(self.B, -1 / math.sqrt(rank), 1 / math.sqrt(rank))
        nn.init.zeros_(self.B[:, -rank:])
        nn.init.zeros_(self.magnitude)

    @property
    def first(self) -> nn.Parameter:
        """``magnitude``."""
        return self.magnitude

    def own_parameters(self) -> Iterator[nn.Parameter]:
        """Iterate over ``A``, ``B`` and ``magnitude``."""
        yield from super().own_parameters()
        yield self.magnitude

    def factors(self, number: int, dtype: torch.dtype | None = None) -> tuple[Tensor, Tensor]:
        """Return an expert's ``A``, and its ``B`` with direction and magnitude worked in."""
        A, B = super().factors(number, dtype)
        if number == self.config.experts - 1:
            return A, B
        own = B.unsqueeze(1)
        direction = _directions(A.unsqueeze(0), own).squeeze(1)
        return A, self.magnitude.detach().to(B.dtype).unsqueeze(1) * direction

    def lever(self, number: int) -> Tensor:
        """Return an expert's ``B``: without it there is no direction."""
        return super().factors(number)[1]

    def size(self, number: int) -> int:
        """Return how many numbers ``A`` and ``B`` hold; the magnitude is nobody's own."""
        return sum(factor.numel() for factor in super().factors(number))

    def _add_experts(self, output: Tensor, low: Tensor, gates: Tensor | None) -> None:
        config = self.config
        own = torch.promote_types(self.B.dtype, torch.float32)
        A = held(self.A, config, dim=0).to(own).view(config.experts, config.rank, -1)
        B = held(self.B, config, dim=1).to(own).view(len(self.B), config.experts, config.rank)
        directions = _directions(A[:-1], B[:, :-1])
        self._record(low[..., :-1, :], directions)
        # All experts share it, so one that is frozen holds it.
        magnitude = self.magnitude.detach() if config.frozen else self.magnitude
        up = torch.cat([magnitude.to(own).view(-1, 1, 1) * directions, B[:, -1:]], 1).flatten(1)
        low = low.reshape(-1, up.shape[1])
        output.addmm_(low, up.to(low.dtype).t(), alpha=config.scale)

    def _record(self, low: Tensor, directions: Tensor) -> None:
        """Tell the context which experts answer: ``low`` ``[*P, E - 1, r]``, without the shared."""
        if self._context is None:
            return
        config = self.config
        with torch.set_grad_enabled(torch.is_grad_enabled() and config.teaches_choice):
            low = low.to(directions.dtype)
            # |D_e x|^2 = l^T (B^T B) l with l = A_e x and B the normalised one.
            grams = torch.einsum("oer,oes->ers", directions, directions)
            squares = torch.einsum("...er,ers,...es->...e", low, grams, low)
            # The softmax of the logarithms of norms is the norms' shares.
            scores = 0.5 * squares.clamp_min(torch.finfo(squares.dtype).tiny).log()
            chosen = scores.detach().topk(config.top_k, sorted=False).indices
            selected = torch.zeros_like(scores, dtype=torch.bool).scatter_(-1, chosen, 1)
            valid = checked_mask(self._context.frame_mask(), scores)
            routing = Routing(scores, scores, selected, scores.softmax(-1), config, valid)
        self._context.record(self._name, routing)


def _directions(A: Tensor, B: Tensor) -> Tensor:
    """Scale ``B`` ``[d_out, E, r]`` so that the rows of each ``B_e A_e`` have length 1 (or 0).

    ``A``: ``[E, r, d_in]``.
    """
    squares = torch.einsum("oer,ers,oes->oe", B, A @ A.mT, B)
    # The root of an exact 0, of a silenced expert, would have no gradient.
    norms = squares.clamp_min(torch.finfo(squares.dtype).tiny).sqrt()
    return B / (norms + _EPSILON).unsqueeze(-1)
