"""Layers that the mel-input vocoders share."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ConvNeXt(nn.Module):
    """A residual block of a depthwise convolution and two pointwise layers.

    After Liu et al. 2022, "A ConvNet for the 2020s", figure 4, in one dimension.

    Parameters
    ----------
    width, hidden : int
        Channels outside and between the pointwise layers.
    kernel : int
        Frames the depthwise convolution sees; odd.
    scale : float
        Where the learned scale of the branch starts.
    """

    def __init__(self, width: int, hidden: int, kernel: int, scale: float) -> None:
        super().__init__()
        self.spread = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width)
        self.norm = nn.LayerNorm(width)
        self.widen = nn.Linear(width, hidden)
        self.narrow = nn.Linear(hidden, width)
        self.scale = nn.Parameter(torch.full((width,), scale))

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, N, width] to [B, N, width]."""
        y: Tensor = self.spread(x.transpose(1, 2)).transpose(1, 2)
        y = self.narrow(F.gelu(self.widen(self.norm(y))))
        return x + self.scale * y
