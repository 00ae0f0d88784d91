"""Who works how much: load, gates, entropy and dead experts of each router."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from loradar.moe_lora.grown import Opening
from loradar.moe_lora.router import Routing

# An expert chosen less often than this share of an even load counts as dead, and so does a grown
# one whose gate stands open by less.
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


class OpeningTotals:
    """Sums of grown experts' gates over the valid positions of every batch."""

    def __init__(self) -> None:
        self.positions: Tensor | None = None
        self.gates: Tensor | None = None
        self.sizes: Tensor | None = None

    @torch.no_grad()
    def add(self, opening: Opening) -> None:
        """Add one batch; see `RoutingTotals.add`."""
        gates, valid = opening.gates.detach(), opening.valid
        wide = torch.float32 if gates.device.type == "mps" else torch.float64
        if valid is not None:
            gates = gates.masked_fill(~valid.unsqueeze(-1), 0)
            count = valid.sum().to(wide)
        else:
            count = torch.tensor(float(gates[..., 0].numel()), dtype=wide, device=gates.device)
        gates = gates.flatten(0, -2)
        self.positions = _plus(self.positions, count)
        self.gates = _plus(self.gates, gates.sum(0).to(wide))
        self.sizes = _plus(self.sizes, gates.abs().sum(0).to(wide))


def _plus(total: Tensor | None, value: Tensor) -> Tensor:
    # The model may have moved since: before it trained on a GPU, it was scored where it was loaded.
    return value if total is None else total.to(value.device) + value


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
        Experts with a load below 1 % of the even share ``1 / E``; grown ones whose gate stands
        open by less than 0.01 on average.
    opening : dict
        ``[G, 2]`` float64, where there are grown experts: mean gate, and mean size of the gate.

    Notes
    -----
    With ``top_k == experts`` each expert is always chosen and the load is even; ``gates`` tells
    more there. A plain LoRA (E = 1) has no router, so only grown experts appear.
    """

    positions: dict[str, int]
    load: dict[str, Tensor]
    gates: dict[str, Tensor]
    entropy: dict[str, float]
    dead: dict[str, list[int]]
    opening: dict[str, Tensor] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        totals: dict[str, RoutingTotals],
        openings: dict[str, OpeningTotals] | None = None,
    ) -> RoutingStatistics:
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
        for name, opening in (openings or {}).items():
            if opening.positions is None or opening.gates is None or opening.sizes is None:
                continue
            positions = opening.positions.cpu().clamp(min=1)
            means = torch.stack([opening.gates, opening.sizes], -1).cpu() / positions
            result.positions[name] = int(opening.positions)
            result.opening[name] = means
            # Numbered after the softmax's experts; plain LoRA is one that is always at work.
            first = len(result.load.get(name, (1,)))
            shut = (means[:, 1] < DEAD_SHARE).nonzero().flatten().tolist()
            result.dead.setdefault(name, []).extend(first + place for place in shut)
        return result

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Return plain values, by router, for JSON."""
        rows: dict[str, dict[str, Any]] = {}
        for name, positions in self.positions.items():
            row: dict[str, Any] = {"positions": positions}
            if name in self.load:
                row["load"] = self.load[name].tolist()
                row["gates"] = self.gates[name].tolist()
                row["entropy"] = self.entropy[name]
            row["dead"] = self.dead[name]
            if name in self.opening:
                gates, sizes = self.opening[name].unbind(-1)
                row["opening"] = {"gates": gates.tolist(), "sizes": sizes.tolist()}
            rows[name] = row
        return rows
