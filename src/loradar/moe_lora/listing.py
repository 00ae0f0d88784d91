"""What experts a model has: rank, kind, size and strength of each, layer by layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from loradar.moe_lora.edit import having

if TYPE_CHECKING:
    from loradar.moe_lora.mixture import MoeLora


@dataclass(frozen=True)
class Expert:
    """One expert of a mixture.

    Attributes
    ----------
    number : int
        Its number.
    rank : int
        r.
    grown : bool
        Whether it came after the softmax's, with a gate of its own.
    frozen : bool
        Whether it trains no more.
    parameters : dict of str to int
        By block that has it: numbers in its ``A`` and ``B`` (or what it has in their place) and in
        its rows of routers or gates.
    strength : dict of str to float
        By block: Frobenius norm of ``alpha / r * B A`` over the block's projections, that is, how
        much it changes the frozen weights where its gate is 1.
    """

    number: int
    rank: int
    grown: bool
    frozen: bool
    parameters: dict[str, int]
    strength: dict[str, float]


def list_experts(mixture: MoeLora) -> list[Expert]:
    """Return the experts of a mixture by number.

    Examples
    --------
    >>> import torch
    >>> from loradar.moe_lora import MoeLoraConfig, inject
    >>> model = torch.nn.ModuleDict({"a": torch.nn.Linear(6, 4)})
    >>> config = MoeLoraConfig(experts=2, rank=3, top_k=1, targets=("a",), scope="projection")
    >>> mixture = inject(model, config)
    >>> [expert.parameters for expert in list_experts(mixture)] == [{"": 3 * (6 + 4) + 6}] * 2
    True
    """
    config = mixture.config
    rows = {
        name: sum(part.shape[1] for part in router.parameters())
        for name, router in mixture.routers.items()
    }
    found = []
    for number in range(config.total):
        grown = number >= config.experts
        gates = {name: gate.features for name, gate in mixture.growth.items()} if grown else rows
        parameters: dict[str, int] = {}
        squares: dict[str, float] = {}
        adapters = having(mixture, number)
        for name, (A, B) in mixture.tensors_of(number).items():
            block = name.rpartition(".")[0]
            own = gates.get(name, 0) if config.scope == "projection" else 0
            size = A.numel() + B.numel() if grown else adapters[name].size(number)
            parameters[block] = parameters.get(block, 0) + size + own
            squares[block] = squares.get(block, 0.0) + _square(A, B)
        if config.scope == "block":
            for block in parameters:
                parameters[block] += gates.get(block, 0)
        strength = {block: config.scale * value**0.5 for block, value in squares.items()}
        rank = config.grown[number - config.experts] if grown else config.rank
        frozen = number in config.frozen
        found.append(Expert(number, rank, grown, frozen, parameters, strength))
    return found


def _square(A: Tensor, B: Tensor) -> float:
    """Return ``||B A||_F^2`` without making the product: ``tr(B^T B A A^T)``."""
    A, B = A.double().cpu(), B.double().cpu()
    return max(0.0, float(((B.t() @ B) * (A @ A.t())).sum()))
