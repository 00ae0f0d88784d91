"""Graph attention and pooling of AASIST (Jung et al. 2022, arXiv 2110.01200, section 3).

Attribute names are those of the published checkpoints, so that public weights load as they are.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from loradar.detector.fused import conv_norm, tanh


def _score_vector(width: int) -> nn.Parameter:
    return nn.Parameter(nn.init.xavier_normal_(torch.empty(width, 1)))


def _normalise_nodes(norm: nn.BatchNorm1d, nodes: Tensor) -> Tensor:
    """Batch-norm over clips and nodes together; ``nodes`` is [B, N, D]."""
    return norm(nodes.flatten(0, 1)).view_as(nodes)  # type: ignore[no-any-return]


class GraphAttention(nn.Module):
    """Attention among the nodes of one graph, all pairs connected.

    The weight of a pair comes from the product of its two nodes, so it is symmetric before the
    softmax.

    Parameters
    ----------
    in_width, out_width : int
        Features of a node before and after.
    temperature : float
        Divides the scores before the softmax; large values spread the attention.
    """

    def __init__(self, in_width: int, out_width: int, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature
        self.input_drop = nn.Dropout(0.2)
        self.att_proj = nn.Linear(in_width, out_width)
        self.att_weight = _score_vector(out_width)
        self.proj_with_att = nn.Linear(in_width, out_width)
        self.proj_without_att = nn.Linear(in_width, out_width)
        self.bn = nn.BatchNorm1d(out_width)
        self.act = nn.SELU()

    def forward(self, nodes: Tensor) -> Tensor:
        """Map nodes [B, N, in_width] to [B, N, out_width]."""
        # Contiguous, else the projection copies all pairs to make them so.
        nodes = self.input_drop(nodes).contiguous()
        pairs = nodes.unsqueeze(2) * nodes.unsqueeze(1)  # [B, N, N, in_width]
        scores = tanh(self.att_proj(pairs)) @ self.att_weight
        weights = torch.softmax(scores.squeeze(-1) / self.temperature, dim=-1)
        mixed = self.proj_with_att(weights @ nodes) + self.proj_without_att(nodes)
        return self.act(_normalise_nodes(self.bn, mixed))  # type: ignore[no-any-return]


class HeterogeneousGraphAttention(nn.Module):
    """Attention over the union of two graphs, and a master node that reads them all.

    Pairs within the first graph, within the second and across have each their own score vector
    (the paper's heterogeneous stacking graph attention layer, HS-GAL).

    Parameters
    ----------
    in_width, out_width : int
        Features of a node before and after.
    temperature : float
        Divides the scores before each softmax.
    """

    def __init__(self, in_width: int, out_width: int, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature
        self.proj_type1 = nn.Linear(in_width, in_width)
        self.proj_type2 = nn.Linear(in_width, in_width)
        self.input_drop = nn.Dropout(0.2)
        self.att_proj = nn.Linear(in_width, out_width)
        self.att_projM = nn.Linear(in_width, out_width)
        self.att_weight11 = _score_vector(out_width)
        self.att_weight22 = _score_vector(out_width)
        self.att_weight12 = _score_vector(out_width)
        self.att_weightM = _score_vector(out_width)
        self.proj_with_att = nn.Linear(in_width, out_width)
        self.proj_without_att = nn.Linear(in_width, out_width)
        self.proj_with_attM = nn.Linear(in_width, out_width)
        self.proj_without_attM = nn.Linear(in_width, out_width)
        self.bn = nn.BatchNorm1d(out_width)
        self.act = nn.SELU()

    def forward(self, first: Tensor, second: Tensor, master: Tensor) -> tuple[Tensor, ...]:
        """Update two graphs and their master node.

        Parameters
        ----------
        first : Tensor
            [B, N1, in_width].
        second : Tensor
            [B, N2, in_width].
        master : Tensor
            [B, 1, in_width], or [1, 1, in_width] for every clip the same.

        Returns
        -------
        tuple of Tensor
            [B, N1, out_width], [B, N2, out_width], [B, 1, out_width].
        """
        count = first.shape[1]
        nodes = torch.cat([self.proj_type1(first), self.proj_type2(second)], dim=1)
        nodes = self.input_drop(nodes)

        weights = self._pair_weights(nodes, count)
        mixed = self.proj_with_att(weights @ nodes) + self.proj_without_att(nodes)
        mixed = self.act(_normalise_nodes(self.bn, mixed))
        return mixed[:, :count], mixed[:, count:], self._update_master(nodes, master)

    def _pair_weights(self, nodes: Tensor, count: int) -> Tensor:
        hidden = tanh(self.att_proj(nodes.unsqueeze(2) * nodes.unsqueeze(1)))
        vectors = torch.cat([self.att_weight11, self.att_weight12, self.att_weight22], dim=1)
        scores = hidden @ vectors  # [B, N, N, 3]: first-first, across, second-second
        second = (torch.arange(nodes.shape[1], device=nodes.device) >= count).long()
        kind = (second[:, None] + second[None, :]).expand(scores.shape[:3]).unsqueeze(-1)
        score = scores.gather(-1, kind).squeeze(-1)
        return torch.softmax(score / self.temperature, dim=-1)

    def _update_master(self, nodes: Tensor, master: Tensor) -> Tensor:
        score = tanh(self.att_projM(nodes * master)) @ self.att_weightM  # [B, N, 1]
        weights = torch.softmax(score / self.temperature, dim=1)
        read = weights.transpose(1, 2) @ nodes
        return self.proj_with_attM(read) + self.proj_without_attM(master)  # type: ignore[no-any-return]


def _share(count: int | Tensor, ratio: float) -> Any:
    """Return ``max(1, int(count * ratio))``; a tracer's count stays one, whatever the length."""
    if isinstance(count, Tensor):
        return (count.double() * ratio).long().clamp(min=1)
    return max(1, int(count * ratio))


class GraphPool(nn.Module):
    """Keep the best-scored share of the nodes, each scaled by its score.

    Parameters
    ----------
    ratio : float
        Share of the nodes kept (at least one).
    width : int
        Features of a node.
    """

    def __init__(self, ratio: float, width: int) -> None:
        super().__init__()
        self.ratio = ratio
        self.drop = nn.Dropout(0.3)
        self.proj = nn.Linear(width, 1)

    def forward(self, nodes: Tensor) -> Tensor:
        """Map nodes [B, N, D] to [B, max(1, int(N * ratio)), D], best first."""
        scores = torch.sigmoid(self.proj(self.drop(nodes)))
        best = scores.topk(_share(nodes.shape[1], self.ratio), dim=1).indices
        return (nodes * scores).gather(1, best.expand(-1, -1, nodes.shape[2]))


class ResidualBlock(nn.Module):
    """Convolution block of AASIST's encoder: conv, batch norm, SELU, conv, plus the input.

    Parameters
    ----------
    in_channels, out_channels : int
        Feature maps before and after.
    first : bool
        The first block of the stack has no ``bn1``.
    pool : bool
        Pool the time axis by three at the end (the raw-waveform model does).
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, first: bool = False, pool: bool = False
    ) -> None:
        super().__init__()
        self.pool = pool
        if not first:
            # The published models hold this batch norm and never use it. It is kept, frozen, so
            # that their weights load and their parameter counts hold.
            self.bn1 = nn.BatchNorm2d(in_channels).requires_grad_(False)
        self.conv1 = nn.Conv2d(in_channels, out_channels, (2, 3), padding=(1, 1))
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, (2, 3), padding=(0, 1))
        self.conv_downsample = (
            nn.Conv2d(in_channels, out_channels, (1, 3), padding=(0, 1))
            if in_channels != out_channels
            else None
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Map [B, in_channels, F, T] to [B, out_channels, F, T] (T // 3 with ``pool``)."""
        skip = maps if self.conv_downsample is None else self.conv_downsample(maps)
        maps = self.conv2(F.selu(conv_norm(self.conv1, self.bn2, maps), inplace=True)).add_(skip)
        return F.max_pool2d(maps, (1, 3)) if self.pool else maps
