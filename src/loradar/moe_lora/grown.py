"""Experts that join a finished mixture, and the gates that let them in.

A new row in the router's softmax would take gate from the old experts at once. So the softmax
stays as it is, and an expert that comes later is added beside it with a gate of its own,

    g = tanh(v . h / sqrt(D))        h: the router's input, [D]

The row ``v`` starts at zero, so the gate is exactly 0 for every input and the model exactly the
old one. ``tanh`` has slope 1 there and the expert's ``B`` does not start at zero (as LoRA's does),
so ``v`` has a gradient from the first step on: how well the expert's random direction, and which
inputs, lower the loss. ``A`` and ``B`` get theirs as soon as the gate has moved. Had ``B`` started
at zero as well, nothing would ever learn; had the gate started open with ``B`` at zero, the new
expert would work on old and new input alike until the gate had learnt to close.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from loradar.moe_lora.config import MoeLoraConfig
from loradar.moe_lora.router import checked_mask, clip_means, pool


@dataclass(frozen=True)
class Opening:
    """How far the gates of grown experts stood open in one batch.

    P is ``[B, T]`` (frame routing) or ``[B]`` (utterance), as in `Routing`.

    Attributes
    ----------
    gates : Tensor
        ``[*P, G]`` in (-1, 1).
    config : MoeLoraConfig
        The mixture's settings.
    valid : Tensor or None
        ``[*P]`` bool: positions that count; None means all.
    """

    gates: Tensor
    config: MoeLoraConfig
    valid: Tensor | None

    def clip_gates(self) -> Tensor:
        """Return the mean gates of each clip over its valid frames, ``[B, G]``, detached."""
        return clip_means(self.gates, self.valid, self.config.granularity)


class GrownGates(nn.Module):
    """The gates of the grown experts of one block or projection.

    Parameters
    ----------
    features : int
        D, size of the input's last axis.
    config : MoeLoraConfig
        ``granularity`` is used: ``utterance`` takes the mean over valid frames before the tanh.
    like : Tensor
        The frozen map's weight: rows are where it is, in float32 at least.

    Attributes
    ----------
    rows : nn.ParameterList
        One ``[D]`` a grown expert; zero at the start.
    """

    def __init__(self, features: int, config: MoeLoraConfig, like: Tensor) -> None:
        super().__init__()
        self.features = features
        self.config = config
        self.rows = nn.ParameterList()
        for _ in config.grown:
            self.grow(like)

    def grow(self, like: Tensor) -> None:
        """Append a row of zeros; for ``like`` see the class."""
        own = torch.promote_types(like.dtype, torch.float32)
        self.rows.append(nn.Parameter(like.new_zeros(self.features, dtype=own)))

    def keep(self, places: list[int]) -> None:
        """Keep the rows at ``places`` alone."""
        self.rows = nn.ParameterList(self.rows[place] for place in places)

    def extra_repr(self) -> str:
        """Describe the gates for ``print(model)``."""
        return f"{self.features} -> {len(self.rows)}, {self.config.granularity}"

    def forward(self, inputs: Tensor, mask: Tensor | None = None) -> Opening:
        """Open the gates for a batch.

        Parameters
        ----------
        inputs : Tensor
            ``[B, T, D]``; for frame routing any ``[..., D]``.
        mask : Tensor, optional
            ``[B, T]`` bool, True at valid frames.

        Returns
        -------
        Opening

        Raises
        ------
        InputError
            See `Router.forward`.
        """
        dtype = torch.promote_types(inputs.dtype, torch.float32)
        valid = mask
        gates = []
        with torch.autocast(inputs.device.type, enabled=False):
            inputs = inputs.to(dtype)
            for row in self.rows:
                # Each by itself: in one product an expert's bits would depend on its neighbours.
                logits = (inputs @ row.to(dtype) / math.sqrt(self.features)).unsqueeze(-1)
                valid = checked_mask(mask, logits)
                if self.config.granularity == "utterance":
                    logits, valid = pool(logits, valid)
                gates.append(logits.tanh())
        return Opening(torch.cat(gates, -1), self.config, valid)


class GrownExpert(nn.Module):
    """``A`` and ``B`` of an expert added to a linear map after its mixture.

    Parameters
    ----------
    base : nn.Linear
        The frozen map.
    rank : int
        r.

    Attributes
    ----------
    A : nn.Parameter
        ``[r, d_in]``, Kaiming-uniform.
    B : nn.Parameter
        ``[d_out, r]``, uniform within ``1 / sqrt(d_out)``: not zero, so that the gate learns, yet
        small beside the base's output whatever the width, should the gate open before ``B`` has
        learnt.
    """

    def __init__(self, base: nn.Linear, rank: int) -> None:
        super().__init__()
        own = torch.promote_types(base.weight.dtype, torch.float32)
        self.A = nn.Parameter(base.weight.new_empty(rank, base.in_features, dtype=own))
        self.B = nn.Parameter(base.weight.new_empty(base.out_features, rank, dtype=own))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw both anew."""
        nn.init.kaiming_uniform_(self.A, a=math.sqrt(5))
        bound = 1 / math.sqrt(self.B.shape[0])
        nn.init.uniform_(self.B, -bound, bound)

    def extra_repr(self) -> str:
        """Describe the expert for ``print(model)``."""
        return f"rank={self.A.shape[0]}"

    def add_to(self, output: Tensor, inputs: Tensor, gate: Tensor, config: MoeLoraConfig) -> None:
        """Add ``scale * gate * B (A x)`` to ``output`` in place.

        Parameters
        ----------
        output : Tensor
            ``[N, d_out]``.
        inputs : Tensor
            ``[N, d_in]``.
        gate : Tensor
            ``[N, 1]``.
        config : MoeLoraConfig
            ``scale`` and ``dropout`` are used.
        """
        if config.dropout and self.training:
            inputs = F.dropout(inputs, config.dropout)
        low = F.linear(inputs, self.A.to(inputs.dtype)) * gate.to(inputs.dtype)
        output.addmm_(low, self.B.to(inputs.dtype).t(), alpha=config.scale)
