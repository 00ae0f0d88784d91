"""Losses that keep the experts busy, apart and sure of themselves."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional as F

from loradar.moe_lora.config import MoeLoraConfig
from loradar.moe_lora.router import Routing

TERMS = ("balance", "z", "orthogonality", "entropy")
SELF_TERMS = ("balance", "selection", "orthogonality", "entropy")


def balance_loss(routing: Routing) -> Tensor:
    """Return ``E * sum_e f_e P_e``: 1 for even routing, up to E when one expert does it all.

    ``f_e`` is the share of expert e in all choices and ``P_e`` its mean probability over valid
    positions (Fedus et al. 2021, arXiv 2101.03961, equations 4 to 6, with f over all k choices).
    With ``k == E`` the choices are always even and say nothing: there ``f_e`` is the expert's
    mean gate, held constant.
    """
    experts = routing.gates.shape[-1]
    if routing.config.top_k == experts:
        shares = _mean(routing, routing.gates.detach())
    else:
        shares = _mean(routing, routing.selected.to(routing.gates.dtype))
    shares = shares / shares.sum().clamp(min=torch.finfo(shares.dtype).tiny)
    return experts * torch.dot(shares, _mean(routing, routing.probabilities))


def z_loss(routing: Routing) -> Tensor:
    """Return the mean squared log-partition of the logits.

    Zoph et al. 2022, arXiv 2202.08906, equation 5.
    """
    return _mean(routing, routing.logits.logsumexp(-1, keepdim=True).square()).squeeze()


def entropy_loss(routing: Routing) -> Tensor:
    """Return the mean entropy of the routing probabilities, in nats."""
    log_probabilities = routing.scores.log_softmax(-1)
    return -_mean(routing, routing.probabilities * log_probabilities).sum()


def selection_loss(routing: Routing) -> Tensor:
    """Return the mean share of the experts that are not chosen: 0 where the k chosen do it all.

    One minus the sum of the k largest probabilities, so that experts which route themselves come to
    answer few at a time, as a top-k router lets them (FURINA, arXiv 2509.14900, its divergence
    loss: the share of the k largest activations is to grow).
    """
    chosen = (routing.probabilities * routing.selected).sum(-1, keepdim=True)
    return 1 - _mean(routing, chosen).squeeze()


def orthogonality_loss(A: Tensor, experts: int) -> Tensor:
    """Return how much the experts' input directions overlap, from 0 (orthogonal) to 1 (the same).

    The mean over pairs of experts of ``||A_i A_j^T||_F^2 / r`` with the rows of each ``A``
    scaled to length 1 (after the regulariser of MoLEx, arXiv 2509.09175; the scale is ours, so
    that it neither shrinks ``A`` nor depends on the rank).

    Parameters
    ----------
    A : Tensor
        ``[E * r, d_in]``, the stacked experts.
    experts : int
        E.
    """
    rank = A.shape[0] // experts
    rows = F.normalize(A, dim=-1)
    squared = (rows @ rows.t()).square().view(experts, rank, experts, rank).sum((1, 3))
    pairs = squared.sum() - squared.diagonal().sum()
    return pairs / (rank * experts * (experts - 1))


def collect(
    routings: Iterable[Routing], matrices: Iterable[Tensor], config: MoeLoraConfig
) -> tuple[Tensor, dict[str, Tensor]]:
    """Sum the losses over routers (and over adapters, for orthogonality) and weigh them.

    Parameters
    ----------
    routings : iterable of Routing
        One for each router.
    matrices : iterable of Tensor
        The stacked ``A`` of each adapter.
    config : MoeLoraConfig
        The weights; a term whose weight is 0 is computed without a gradient.

    Returns
    -------
    total : Tensor
        Scalar, weighted.
    terms : dict of str to Tensor
        Those in `TERMS`, or with ``routing`` self `SELF_TERMS`: scalars, unweighted, detached.
    """
    routings, matrices = list(routings), list(matrices)
    device = matrices[0].device
    total = torch.zeros((), device=device)
    terms: dict[str, Tensor] = {}
    for name in SELF_TERMS if config.self_routed else TERMS:
        weight = getattr(config, f"{name}_weight")
        with torch.set_grad_enabled(torch.is_grad_enabled() and weight != 0):
            term = torch.zeros((), device=device)
            if name == "orthogonality":
                # With one A for all experts there is nothing to compare.
                for matrix in () if config.downs == 1 else matrices:
                    # Layers may have unequal numbers of experts.
                    term = term + orthogonality_loss(matrix, len(matrix) // config.rank)
            else:
                for routing in routings:
                    term = term + _ROUTER_LOSSES[name](routing)
        terms[name] = term.detach()
        if weight:
            total = total + weight * term
    return total, terms


_ROUTER_LOSSES = {
    "balance": balance_loss,
    "z": z_loss,
    "selection": selection_loss,
    "entropy": entropy_loss,
}


def _mean(routing: Routing, values: Tensor) -> Tensor:
    """Average ``[*P, n]`` over the positions that count: ``[n]``."""
    values = values.flatten(0, -2)
    if routing.valid is None:
        return values.mean(0)
    valid = routing.valid.flatten()
    # Filled and not multiplied by 0: padding may hold NaN.
    kept = values.masked_fill(~valid.unsqueeze(-1), 0)
    return kept.sum(0) / valid.sum().clamp(min=1)
