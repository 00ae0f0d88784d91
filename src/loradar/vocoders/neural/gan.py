"""An upsampling vocoder: from log-mel frames to sub-band samples in learned steps of rate.

After HiFi-GAN (Kong, Kim and Bae 2020, section 2.2: multi-receptive-field fusion) and multi-band
MelGAN (Yang et al. 2021, section 2: the network makes sub-bands, a fixed filter bank joins them).
The discriminators it is trained against are in `loradar.training.vocoder.discriminators`.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import Field, model_validator
from scipy import optimize
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from loradar.vocoders.neural.base import MelVocoder, VocoderConfig
from loradar.vocoders.neural.blocks import ConvNeXt
from loradar.vocoders.neural.mel import FLOOR, LogMel, spreading


class GanConfig(VocoderConfig):
    """An upsampling vocoder.

    Attributes
    ----------
    bands, n_fft : int
        Of the log-mel input; its hop is the product of ``rates``, times ``subbands``.
    width, hidden, blocks : int
        Channels, pointwise channels and number of the ConvNeXt blocks at the frame rate.
    rates, channels : list of int
        Factor of each upsampling step, and channels after it.
    subbands : int
        Equal bands that the network makes, each at its own low rate.
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
    rates: tuple[int, ...] = Field((8, 4), min_length=1)
    channels: tuple[int, ...] = Field((128, 96), min_length=1)
    subbands: int = Field(8, ge=2)
    kernels: tuple[int, ...] = Field((3, 7), min_length=1)
    dilations: tuple[int, ...] = Field((1, 3), min_length=1)

    @property
    def hop(self) -> int:
        """Samples a frame."""
        return math.prod(self.rates) * self.subbands

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
        if (self.n_fft // 2) % self.subbands:
            raise ValueError(f"n_fft / 2 is not a multiple of the {self.subbands} subbands")
        return self


class GanVocoder(MelVocoder):
    """Log-mel frames -> ConvNeXt blocks -> upsampling steps -> sub-bands -> waveform.

    Each sub-band is made at unit level and then takes the level that the input says it has: a
    network of this size would spend most of its training on the 60 dB between loud and quiet.
    """

    config: GanConfig

    def __init__(self, config: GanConfig) -> None:
        super().__init__(LogMel(config.bands, config.n_fft, config.hop, config.n_fft))
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
        self.close = weight_norm(nn.Conv1d(config.channels[-1], config.subbands, 7, padding=3))
        self.join = SubbandSynthesis(config.subbands)
        spread = spreading(self.mel.get_buffer("filters"))
        self.register_buffer("spread", spread, persistent=False)

    def generate(self, log_mel: Tensor, length: int) -> Tensor:
        """Map log-mel [B, bands, N] to a waveform [B, length]."""
        x = self.norm(self.embed(log_mel).transpose(1, 2))
        for block in self.stack:
            x = block(x)
        x = x.transpose(1, 2)
        for step in self.steps:
            x = step(x)
        shapes = self.close(F.leaky_relu(x, 0.1)).float()
        waveform: Tensor = self.join(shapes * self.levels(log_mel))
        return waveform[:, :length]

    def levels(self, log_mel: Tensor) -> Tensor:
        """Return the RMS of each sub-band [B, subbands, N * hop / subbands] by log-mel frames."""
        batch, _, count = log_mel.shape
        magnitude = (self.get_buffer("spread") @ log_mel.exp()).clamp_min(FLOOR)
        power = magnitude[:, :-1].square().view(batch, self.config.subbands, -1, count).sum(2)
        # Parseval, with the window's energy taken out; twice for the negative frequencies.
        taper = self.mel.get_buffer("taper")
        level = (2.0 * power / (self.mel.n_fft * taper.square().sum())).sqrt()
        level = torch.cat((level, level[..., -1:]), dim=-1)
        size = count * math.prod(self.config.rates)
        return F.interpolate(level, size + 1, mode="linear", align_corners=True)[..., :-1]


class SubbandSynthesis(nn.Module):
    """Joins critically sampled sub-bands: a cosine-modulated filter bank, polyphase.

    Prototype: a windowed sinc whose cut-off makes the bank nearly perfect (Lin and Vaidyanathan
    1998, "A Kaiser window approach for the design of prototype filters of cosine modulated
    filterbanks"); 45 dB or better.

    Parameters
    ----------
    count : int
        Sub-bands.
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count, self.reach = count, 8
        filters = torch.from_numpy(synthesis_filters(count, 2 * self.reach * count - 2))
        middle = filters.shape[1] // 2
        # Output sample n * count + phase hears sub-band sample n + j through tap j * count - phase.
        phases = torch.zeros(count, count, 2 * self.reach + 1)
        for phase in range(count):
            for j in range(-self.reach, self.reach + 1):
                tap = middle + j * count - phase
                if 0 <= tap < filters.shape[1]:
                    phases[phase, :, j + self.reach] = count * filters[:, tap]
        self.register_buffer("phases", phases, persistent=False)

    def forward(self, bands: Tensor) -> Tensor:
        """Map sub-bands [B, count, N], float32, to a waveform [B, N * count]."""
        with torch.autocast(bands.device.type, enabled=False):
            samples = F.conv1d(bands, self.get_buffer("phases"), padding=self.reach)
        return samples.transpose(1, 2).reshape(len(bands), -1)


def synthesis_filters(count: int, order: int) -> NDArray[np.float32]:
    """Return the filters [count, order + 1] of `SubbandSynthesis`, mirrored in time.

    Mirrored, since torch's convolutions correlate. The analysis filters are the same, unmirrored.
    """
    places = np.arange(order + 1) - order / 2
    window = np.kaiser(order + 1, 9.0)

    def prototype(cutoff: float) -> NDArray[np.float64]:
        return np.asarray(cutoff * np.sinc(cutoff * places) * window, np.float64)

    def ripple(cutoff: float) -> float:
        own = np.correlate(prototype(cutoff), prototype(cutoff), "full")[order :: 2 * count]
        return float(np.abs(own[1:]).max() / own[0])

    best = optimize.minimize_scalar(ripple, bounds=(0.5 / count, 0.65 / count), method="bounded")
    bands = np.arange(count)[:, None]
    turn = (2 * bands + 1) * np.pi / (2 * count) * places + (-1.0) ** bands * np.pi / 4
    return (2.0 * prototype(float(best.x)) * np.cos(turn)).astype(np.float32)


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
