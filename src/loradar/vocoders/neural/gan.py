"""An upsampling vocoder: from log-mel frames to samples in a few learned steps of rate.

After HiFi-GAN (Kong, Kim and Bae 2020, section 2.2: multi-receptive-field fusion) and MelGAN
(Kumar et al. 2019), with most of the work at the frame rate, where it is cheap. The discriminators
it is trained against are in `loradar.training.vocoder.discriminators`.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from loradar.vocoders.neural.base import MelVocoder, VocoderConfig
from loradar.vocoders.neural.blocks import ConvNeXt
from loradar.vocoders.neural.mel import LogMel


class GanConfig(VocoderConfig):
    """An upsampling vocoder.

    Attributes
    ----------
    bands, n_fft : int
        Of the log-mel input; its hop is the product of ``rates``.
    width, hidden, blocks : int
        Channels, pointwise channels and number of the ConvNeXt blocks at the frame rate.
    rates, channels : list of int
        Factor of each upsampling step, and channels after it.
    kernels, dilations : list of int
        Receptive fields of the residual stacks after each step: one stack a kernel, whose layers
        have these dilations.
    """

    family: Literal["gan"] = "gan"
    bands: int = Field(80, ge=8)
    n_fft: int = Field(1024, ge=64)
    width: int = Field(192, ge=8)
    hidden: int = Field(384, ge=8)
    blocks: int = Field(3, ge=0)
    rates: tuple[int, ...] = Field((8, 8, 4), min_length=1)
    channels: tuple[int, ...] = Field((96, 48, 24), min_length=1)
    kernels: tuple[int, ...] = Field((3, 7), min_length=1)
    dilations: tuple[int, ...] = Field((1, 3), min_length=1)

    @model_validator(mode="after")
    def _matching(self) -> GanConfig:
        if len(self.rates) != len(self.channels):
            raise ValueError(
                f"{len(self.rates)} rates, {len(self.channels)} channels: give one of each a step"
            )
        if any(kernel % 2 == 0 for kernel in self.kernels):
            raise ValueError(f"kernels {list(self.kernels)}: they must be odd")
        if min((*self.rates, *self.channels, *self.kernels, *self.dilations)) < 1:
            raise ValueError("rates, channels, kernels and dilations must be 1 or more")
        return self


class GanVocoder(MelVocoder):
    """Log-mel frames -> ConvNeXt blocks -> upsampling steps -> waveform."""

    config: GanConfig

    def __init__(self, config: GanConfig) -> None:
        super().__init__(LogMel(config.bands, config.n_fft, math.prod(config.rates), config.n_fft))
        self.config = config
        self.embed = nn.Conv1d(config.bands, config.width, 7, padding=3)
        self.norm = nn.LayerNorm(config.width)
        self.stack = nn.ModuleList(
            ConvNeXt(config.width, config.hidden, 7, scale=1.0 / config.blocks)
            for _ in range(config.blocks)
        )
        inward = (config.width, *config.channels)
        self.steps = nn.ModuleList(
            UpStep(a, b, rate, config.kernels, config.dilations)
            for a, b, rate in zip(inward, config.channels, config.rates, strict=False)
        )
        self.close = weight_norm(nn.Conv1d(config.channels[-1], 1, 7, padding=3))

    def generate(self, log_mel: Tensor, length: int) -> Tensor:
        """Map log-mel [B, bands, N] to a waveform [B, length]."""
        x = self.norm(self.embed(log_mel).transpose(1, 2))
        for block in self.stack:
            x = block(x)
        x = x.transpose(1, 2)
        for step in self.steps:
            x = step(x)
        waveform: Tensor = self.close(F.leaky_relu(x, 0.1)).float().squeeze(1)
        return waveform.tanh()[:, :length]


class UpStep(nn.Module):
    """A step to a higher rate, then residual stacks of several receptive fields, averaged."""

    def __init__(
        self,
        inward: int,
        outward: int,
        rate: int,
        kernels: tuple[int, ...],
        dilations: tuple[int, ...],
    ) -> None:
        super().__init__()
        self.rate, self.outward = rate, outward
        # A convolution to rate x channels, its channels then laid out in time: the same map as a
        # transposed convolution of three times the rate, and faster on a CPU.
        self.raise_ = weight_norm(nn.Conv1d(inward, outward * rate, 3, padding=1))
        self.snake = Snake(outward)
        self.stacks = nn.ModuleList(Residual(outward, kernel, dilations) for kernel in kernels)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, inward, N] to [B, outward, N * rate]."""
        batch, _, count = x.shape
        y = self.raise_(F.leaky_relu(x, 0.1))
        y = y.view(batch, self.outward, self.rate, count).transpose(2, 3)
        y = self.snake(y.reshape(batch, self.outward, count * self.rate))
        return torch.stack([stack(y) for stack in self.stacks]).mean(0)


class Residual(nn.Module):
    """Dilated convolutions of one kernel size, each with a way past it."""

    def __init__(self, channels: int, kernel: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            weight_norm(
                nn.Conv1d(channels, channels, kernel, dilation=wide, padding=wide * (kernel // 2))
            )
            for wide in dilations
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, channels, T] to the same shape."""
        for layer in self.layers:
            x = x + layer(F.leaky_relu(x, 0.1))
        return x


class Snake(nn.Module):
    """x + sin(a x)^2 / a with a learned a: a periodic bias (Ziyin, Hartwig and Ueda 2020)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.log_frequency = nn.Parameter(torch.zeros(channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, channels, T] to the same shape."""
        frequency = self.log_frequency.exp()
        return x + (frequency * x).sin().square() / frequency
