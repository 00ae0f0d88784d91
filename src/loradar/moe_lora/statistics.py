"""Who works how much: load, gates, entropy and dead experts of each router."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from loradar.moe_lora.router import Routing

# An expert chosen less often than this share of an even load counts as dead.
DEAD_SHARE = 0.01


class RoutingTotals:
    """Sums over the valid positions of every batch one router has seen."""

    def __init__(self) -> None:
        self.positions: Tensor | None = None
        self.selected: Tensor | None = None
        self.gates: Tensor | None = None
        self.entropy: Tensor | None = None

    @torch.no_grad()
    def add(self, routing: Routing) -> None:
        """Add one batch. Waits for no device; sums are float64 where there is such a type."""
        wide = torch.float32 if routing.gates.device.type == "mps" else torch.float64
        probabilities = routing.probabilities.detach()
        entropy = torch.special.entr(probabilities).sum(-1, keepdim=True)
        selected = routing.selected.to(entropy.dtype)
        parts = torch.cat([selected, routing.gates.detach(), entropy], -1)
        if routing.valid is not None:
            # Filled and not multiplied by 0: padding may hold NaN.
            parts = parts.masked_fill(~routing.valid.unsqueeze(-1), 0)
            count = routing.valid.sum().to(wide)
        else:
            count = torch.tensor(float(selected[..., 0].numel()), dtype=wide, device=parts.device)
        sums = parts.flatten(0, -2).sum(0).to(wide)
        experts = selected.shape[-1]
        # Out of place: a sum made under inference_mode could not be changed outside of it.
        self.positions = _plus(self.positions, count)
        self.selected = _plus(self.selected, sums[:experts])
        self.gates = _plus(self.gates, sums[experts:-1])
        self.entropy = _plus(self.entropy, sums[-1])


def _plus(total: Tensor | None, value: Tensor) -> Tensor:
    return value if total is None else total + value


@dataclass(frozen=True)
class RoutingStatistics:
    """Routing over all forwards since the last reset. Keys are router names.

    Attributes
    ----------
    positions : dict
        How many valid frames (or clips, in utterance routing) each router has decided on.
    load : dict
        ``[E]`` float64: share of each expert in all choices; sums to 1.
    gates : dict
        ``[E]`` float64: mean gate of each expert.
    entropy : dict
        Mean entropy of the softmax over all experts, in nats (``log E`` is even routing).
    dead : dict
        Experts with a load below 1 % of the even share ``1 / E``.

    Notes
    -----
    With ``top_k == experts`` each expert is always chosen and the load is even; ``gates`` tells
    more there.
    """

    positions: dict[str, int]
    load: dict[str, Tensor]
    gates: dict[str, Tensor]
    entropy: dict[str, float]
    dead: dict[str, list[int]]

    @classmethod
    def of(cls, totals: dict[str, RoutingTotals]) -> RoutingStatistics:
        """Turn sums into means."""
        result = cls({}, {}, {}, {}, {})
        for name, total in totals.items():
            if total.positions is None or total.selected is None:
                continue
            assert total.gates is not None and total.entropy is not None
            positions = total.positions.cpu().clamp(min=1)
            selected = total.selected.cpu()
            load = selected / selected.sum().clamp(min=1)
            result.positions[name] = int(total.positions)
            result.load[name] = load
            result.gates[name] = total.gates.cpu() / positions
            result.entropy[name] = float(total.entropy.cpu() / positions)
            dead = load * len(load) < DEAD_SHARE
            result.dead[name] = dead.nonzero().flatten().tolist()
        return result

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Return plain values, by router, for JSON."""
        return {
            name: {
                "positions": self.positions[name],
                "load": self.load[name].tolist(),
                "gates": self.gates[name].tolist(),
                "entropy": self.entropy[name],
                "dead": self.dead[name],
            }
            for name in self.load
        }
