"""AASIST (Jung et al. 2022, arXiv 2110.01200): the back-end on encoder features, and the original.

`AasistBackend` is the variant for self-supervised features (Tak et al. 2022, arXiv 2202.12233);
`RawAasist` is the published model on the waveform. Both share the graph part, `AasistGraph`.
Logits are ordered as in the published code: index 0 spoof, index 1 bona fide.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from loradar.detector.fused import scoring
from loradar.detector.graph_attention import (
    GraphAttention,
    GraphPool,
    HeterogeneousGraphAttention,
    ResidualBlock,
)


@dataclass(frozen=True)
class GraphSizes:
    """Sizes of AASIST's graph part.

    Attributes
    ----------
    maps : int
        Channels of the convolutional encoder, hence features of a node.
    nodes : int
        Features of a node after the heterogeneous layers.
    pool_spectral, pool_temporal, pool_joint : float
        Shares kept by the pooling of each graph, and within the two branches.
    """

    maps: int = 64
    nodes: int = 32
    pool_spectral: float = 0.5
    pool_temporal: float = 0.5
    pool_joint: float = 0.5


#: Raw-waveform models as published (``config/AASIST.conf``, ``config/AASIST-L.conf``).
VARIANTS = {
    "AASIST": GraphSizes(pool_temporal=0.7),
    "AASIST-L": GraphSizes(maps=24, pool_spectral=0.4, pool_temporal=0.5, pool_joint=0.7),
}


def _encoder(maps: int, *, pool: bool) -> nn.Sequential:
    channels = [1, 32, 32, maps, maps, maps, maps]
    blocks = [
        # Each block sits in a Sequential of its own: the published names are ``encoder.N.0``.
        nn.Sequential(ResidualBlock(before, after, first=i == 0, pool=pool))
        for i, (before, after) in enumerate(itertools.pairwise(channels))
    ]
    return nn.Sequential(*blocks)


class AasistGraph(nn.Module):
    """Spectral and temporal graphs, two heterogeneous branches, readout and the output layer.

    Parameters
    ----------
    sizes : GraphSizes
        Widths and pooling shares.
    bands : int
        Spectral nodes (each has a learnt position).
    dropout : float
        Before the output layer.
    """

    def __init__(self, sizes: GraphSizes, bands: int, dropout: float) -> None:
        super().__init__()
        maps, nodes, joint = sizes.maps, sizes.nodes, sizes.pool_joint
        self.pos_S = nn.Parameter(torch.randn(1, bands, maps))
        self.master1 = nn.Parameter(torch.randn(1, 1, maps))
        self.master2 = nn.Parameter(torch.randn(1, 1, maps))
        self.GAT_layer_S = GraphAttention(maps, maps, temperature=2.0)
        self.GAT_layer_T = GraphAttention(maps, maps, temperature=2.0)
        self.HtrgGAT_layer_ST11 = HeterogeneousGraphAttention(maps, nodes, temperature=100.0)
        self.HtrgGAT_layer_ST12 = HeterogeneousGraphAttention(nodes, nodes, temperature=100.0)
        self.HtrgGAT_layer_ST21 = HeterogeneousGraphAttention(maps, nodes, temperature=100.0)
        self.HtrgGAT_layer_ST22 = HeterogeneousGraphAttention(nodes, nodes, temperature=100.0)
        self.pool_S = GraphPool(sizes.pool_spectral, maps)
        self.pool_T = GraphPool(sizes.pool_temporal, maps)
        self.pool_hS1 = GraphPool(joint, nodes)
        self.pool_hT1 = GraphPool(joint, nodes)
        self.pool_hS2 = GraphPool(joint, nodes)
        self.pool_hT2 = GraphPool(joint, nodes)
        self.drop_way = nn.Dropout(0.2)
        self.drop = nn.Dropout(dropout)
        self.out_layer = nn.Linear(5 * nodes, 2)

    def read_graphs(self, spectral: Tensor, temporal: Tensor) -> Tensor:
        """Return the embedding [B, 5 * nodes] of two graphs.

        Parameters
        ----------
        spectral : Tensor
            [B, bands, maps], positions not yet added.
        temporal : Tensor
            [B, frames, maps].
        """
        spectral = self.pool_S(self.GAT_layer_S(spectral + self.pos_S))
        temporal = self.pool_T(self.GAT_layer_T(temporal))
        one = self._branch(
            temporal,
            spectral,
            self.master1,
            (self.HtrgGAT_layer_ST11, self.HtrgGAT_layer_ST12),
            (self.pool_hT1, self.pool_hS1),
        )
        two = self._branch(
            temporal,
            spectral,
            self.master2,
            (self.HtrgGAT_layer_ST21, self.HtrgGAT_layer_ST22),
            (self.pool_hT2, self.pool_hS2),
        )
        # The competitive step of the paper: element-wise maximum of the two branches.
        temporal, spectral, master = (torch.maximum(a, b) for a, b in zip(one, two, strict=True))
        parts = [
            temporal.abs().amax(1),
            temporal.mean(1),
            spectral.abs().amax(1),
            spectral.mean(1),
            master.squeeze(1),
        ]
        return torch.cat(parts, dim=1)

    def _branch(
        self,
        temporal: Tensor,
        spectral: Tensor,
        master: Tensor,
        layers: tuple[nn.Module, nn.Module],
        pools: tuple[nn.Module, nn.Module],
    ) -> tuple[Tensor, ...]:
        temporal, spectral, master = layers[0](temporal, spectral, master)
        temporal, spectral = pools[0](temporal), pools[1](spectral)
        change = layers[1](temporal, spectral, master)
        return tuple(
            self.drop_way(old + new)
            for old, new in zip((temporal, spectral, master), change, strict=True)
        )

    def classify(self, embedding: Tensor) -> Tensor:
        """Map an embedding [B, 5 * nodes] to logits [B, 2]."""
        return self.out_layer(self.drop(embedding))  # type: ignore[no-any-return]


class AasistBackend(AasistGraph):
    """AASIST on encoder features; 447,242 parameters on 1,024 features.

    Parameters
    ----------
    width : int
        Features of the encoder.
    dropout : float
        Before the output layer.
    """

    #: Takes no padding mask: its pooling and batch statistics read every frame.
    supports_padding = False
    #: Three frames make one temporal node.
    minimum_frames = 3

    def __init__(self, width: int, dropout: float = 0.5) -> None:
        sizes = GraphSizes()
        super().__init__(sizes, bands=128 // 3, dropout=dropout)
        self.LL = nn.Linear(width, 128)
        self.first_bn = nn.BatchNorm2d(1)
        self.encoder = _encoder(sizes.maps, pool=False)
        self.first_bn1 = nn.BatchNorm2d(sizes.maps)
        self.attention = nn.Sequential(
            nn.Conv2d(sizes.maps, 128, 1),
            nn.SELU(),
            nn.BatchNorm2d(128),
            nn.Conv2d(128, sizes.maps, 1),
        )

    def embed(self, features: Tensor) -> Tensor:
        """Map features [B, T, width] to embeddings [B, 160]."""
        image = self.LL(features).transpose(1, 2).unsqueeze(1)  # [B, 1, 128, T]
        image = F.selu(self.first_bn(F.max_pool2d(image, 3)), inplace=True)  # [B, 1, 42, T // 3]
        maps = F.selu(self.first_bn1(self._convolve(image)), inplace=True)
        attention = self.attention(maps)
        spectral = (maps * attention.softmax(dim=-1)).sum(dim=-1)
        temporal = (maps * attention.softmax(dim=-2)).sum(dim=-2)
        return self.read_graphs(spectral.transpose(1, 2), temporal.transpose(1, 2))

    def _convolve(self, image: Tensor) -> Tensor:
        """Map [B, 1, F, T] to [B, maps, F, T]."""
        if not scoring():
            return self.encoder(image)  # type: ignore[no-any-return]
        # The layout that these convolutions are fastest in, and what follows them is not.
        maps = self.encoder[0](image).contiguous(memory_format=torch.channels_last)
        return self.encoder[1:](maps).contiguous()  # type: ignore[no-any-return]

    def forward(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        """Map features [B, T, width] to logits [B, 2]; ``mask`` must be None."""
        if mask is not None:
            raise ValueError("AasistBackend takes no mask")
        return self.classify(self.embed(features))


def sinc_filters(count: int = 70, taps: int = 129, sample_rate: int = 16_000) -> Tensor:
    """Return the fixed band-pass bank of the raw models: [count, taps], mel-spaced.

    Each filter is the difference of two windowed sinc low-passes at neighbouring edges
    (Ravanelli & Bengio 2018, arXiv 1808.00158).
    """
    top = 2595 * math.log10(1 + sample_rate / 2 / 700)
    mels = torch.linspace(0, top, count + 1, dtype=torch.float64)
    edges = 700 * (10 ** (mels / 2595) - 1) * 2 / sample_rate  # in half sample rates
    time = torch.arange(taps, dtype=torch.float64) - (taps - 1) / 2
    low_passes = edges[:, None] * torch.sinc(edges[:, None] * time)
    window = torch.hamming_window(taps, periodic=False, dtype=torch.float64)
    return ((low_passes[1:] - low_passes[:-1]) * window).float()


class RawAasist(AasistGraph):
    """AASIST on the waveform, as published: 297,866 parameters (AASIST-L: 85,306).

    Parameters
    ----------
    variant : {"AASIST", "AASIST-L"}
        Which of the two published sizes.
    """

    supports_padding = False
    #: 129 taps, then seven poolings by three must leave one frame.
    minimum_samples = 128 + 3**7

    def __init__(self, variant: str = "AASIST") -> None:
        sizes = VARIANTS[variant]
        super().__init__(sizes, bands=70 // 3, dropout=0.5)
        self.first_bn = nn.BatchNorm2d(1)
        self.encoder = _encoder(sizes.maps, pool=True)
        self.register_buffer("filters", sinc_filters().unsqueeze(1), persistent=False)
        self.filters: Tensor

    def embed(self, waveforms: Tensor) -> Tensor:
        """Map waveforms [B, S] to embeddings [B, 160]."""
        image = F.conv1d(waveforms.unsqueeze(1), self.filters).abs().unsqueeze(1)
        image = F.selu(self.first_bn(F.max_pool2d(image, 3)))
        maps = self.encoder(image).abs()
        spectral, temporal = maps.amax(dim=3), maps.amax(dim=2)
        return self.read_graphs(spectral.transpose(1, 2), temporal.transpose(1, 2))

    def forward(self, waveforms: Tensor) -> Tensor:
        """Map waveforms [B, S] to logits [B, 2]."""
        return self.classify(self.embed(waveforms))
