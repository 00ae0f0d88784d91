"""A small residual CNN on the log spectrogram: the baseline that larger systems must beat.

0.22 M parameters. It sees fine time-frequency traces of vocoders that mel features blur.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from loradar.detector.fused import conv_norm, scoring
from loradar.detector.log_spectrum import HOP, POINTS, LogSpectrum
from loradar.detector.residual import Residual

#: Widest mask, in bins (1 kHz) and in frames (0.4 s), and how many of each a clip gets.
MASK_BINS, MASK_FRAMES, MASKS = 32, 40, 2
CHANNELS = (32, 64, 96)
BANDS = 4


def _mask_strips(size: int, widest: int, batch: int) -> Tensor:
    """Return [B, size], False inside ``MASKS`` random strips (CPU, torch's global generator)."""
    draws = torch.rand(batch, MASKS, 2)
    widths = (draws[..., 0] * (min(widest, size // 2) + 1)).floor()
    starts = (draws[..., 1] * (size - widths + 1)).floor()
    places = torch.arange(size)
    inside = (places >= starts.unsqueeze(-1)) & (places < (starts + widths).unsqueeze(-1))
    return ~inside.any(dim=1)


def mask_spectrogram(logs: Tensor) -> Tensor:
    """Set random frequency and time strips of each clip [B, F, T] to its mean, zero.

    SpecAugment without time warping (Park et al. 2019, arXiv 1904.08779).
    """
    batch, bins, frames = logs.shape
    keep_bins = _mask_strips(bins, MASK_BINS, batch).to(logs.device)
    keep_frames = _mask_strips(frames, MASK_FRAMES, batch).to(logs.device)
    return logs * keep_bins.unsqueeze(2) * keep_frames.unsqueeze(1)


class _AttentiveStatistics(nn.Module):
    """Attentive mean and standard deviation over time (Okabe et al. 2018, arXiv 1803.10963)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.score = nn.Conv1d(channels, 1, 1)

    def forward(self, sequence: Tensor) -> Tensor:
        """Map [B, C, T] to [B, 2 C]."""
        weights = self.score(sequence).softmax(dim=-1)
        mean = (sequence * weights).sum(-1)
        variance = (sequence.square() * weights).sum(-1) - mean.square()
        return torch.cat([mean, variance.clamp_min(1e-4).sqrt()], dim=1)


def _edges(rows: int) -> list[tuple[int, int]]:
    """Return the rows of each band, as adaptive pooling (which ONNX lacks) has them.

    Examples
    --------
    >>> _edges(14)
    [(0, 4), (3, 7), (7, 11), (10, 14)]
    """
    return [(i * rows // BANDS, -(-(i + 1) * rows // BANDS)) for i in range(BANDS)]


class SpectrogramCnn(nn.Module):
    """Stem, three pre-activation residual blocks, attentive statistics of four bands, linear."""

    supports_padding = False
    #: One spectrogram frame for each place that the last block still sees.
    minimum_samples = POINTS + 15 * HOP

    def __init__(self) -> None:
        super().__init__()
        self.spectrum = LogSpectrum()
        first, second, third = CHANNELS
        self.stem = nn.Sequential(
            nn.Conv2d(1, first, 5, stride=2, padding=2, bias=False),
            nn.BatchNorm2d(first),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.blocks = nn.Sequential(
            Residual(first, first, stride=1),
            Residual(first, second, stride=2),
            Residual(second, third, stride=2),
            nn.BatchNorm2d(third),
            nn.ReLU(),
        )
        self.pools = nn.ModuleList(_AttentiveStatistics(third) for _ in range(BANDS))
        self.output = nn.Linear(2 * third * BANDS, 2)

    def embed(self, waveforms: Tensor) -> Tensor:
        """Map waveforms [B, S] to embeddings [B, 768]; in training mode with masks."""
        logs = self.spectrum(waveforms).transpose(1, 2)
        if self.training:
            logs = mask_spectrogram(logs)
        # The layout that the convolutions are fastest in.
        logs = logs.unsqueeze(1).contiguous(memory_format=torch.channels_last)
        maps = self.blocks(self._stem(logs))  # [B, 96, 14, T']
        bands = [maps[:, :, low:high].mean(dim=2) for low, high in _edges(int(maps.shape[2]))]
        return torch.cat([pool(band) for pool, band in zip(self.pools, bands, strict=True)], dim=1)

    def _stem(self, logs: Tensor) -> Tensor:
        """Map [B, 1, 224, T] to [B, 32, 56, T // 4]."""
        if not scoring():
            return self.stem(logs)  # type: ignore[no-any-return]
        layers: list[Any] = list(self.stem)
        conv, norm, _, pool = layers
        # Pooled first, which is the same and leaves a quarter to rectify.
        return F.relu(pool(conv_norm(conv, norm, logs)), inplace=True)

    def forward(self, waveforms: Tensor) -> Tensor:
        """Map waveforms [B, S] to logits [B, 2]."""
        return self.output(self.embed(waveforms))  # type: ignore[no-any-return]
