"""A neural codec: framing convolution, residual vector quantisation, transposed convolutions.

After SoundStream (Zeghidour et al. 2021), EnCodec (Défossez et al. 2022) and the Descript Audio
Codec (Kumar et al. 2023), with the work at slow frame rates, where a CPU is quick.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from loradar.vocoders.neural.base import NeuralVocoder, TrainingOutput, VocoderConfig
from loradar.vocoders.neural.blocks import ConvNeXt
from loradar.vocoders.neural.istft import overlap_add
from loradar.vocoders.neural.level import LEVEL
from loradar.vocoders.neural.mel import LogMel
from loradar.vocoders.neural.quantiser import ResidualQuantiser

#: Steps of the decoder from frames to samples: 125 -> 500 -> 16,000 a second.
STRIDES = (4, 32)
_KERNEL = 7
_DILATIONS = (1, 3, 9)
_BANDS = 80
_FAINT, _LOUDEST = -1.0, 6.0  # log gains of the filters: at the start, at most
_MEAN_LEVEL, _LEVEL_RANGE = -3.0, 3.0  # of log-mel, roughly


class CodecConfig(VocoderConfig):
    """A residual-vector-quantised codec.

    Attributes
    ----------
    width, hidden, blocks : int
        Channels of the frames, of their pointwise layers, and blocks on each side.
    codebooks, codebook_size, code_width : int
        Codebooks in a row, codes in each, elements of a code. 8 codebooks of 256 codes at 125
        frames a second are 8 kbit/s; one is 1 kbit/s.
    least_codebooks : int
        Training, and copies, use from so many codebooks to all.
    commitment, waveform : float
        Weights of the commitment loss and of the waveform's absolute error below 1 kHz.
    """

    family: Literal["codec"] = "codec"
    width: int = Field(192, ge=8, multiple_of=2)
    hidden: int = Field(384, ge=8)
    blocks: int = Field(4, ge=1)
    codebooks: int = Field(8, ge=1)
    codebook_size: int = Field(256, ge=2)
    code_width: int = Field(64, ge=1)
    least_codebooks: int = Field(2, ge=1)
    commitment: float = Field(1.0, ge=0)
    waveform: float = Field(4.0, ge=0)

    @model_validator(mode="after")
    def _enough_codebooks(self) -> CodecConfig:
        if self.least_codebooks > self.codebooks:
            raise ValueError(
                f"least_codebooks {self.least_codebooks} exceeds codebooks {self.codebooks}"
            )
        return self


class CodecVocoder(NeuralVocoder):
    """Waveform -> frames -> codes -> frames -> waveform and filtered noise."""

    config: CodecConfig

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        self.config = config
        self.hop = math.prod(STRIDES)
        width, half = config.width, config.width // 2
        # Linear from samples to frames and, last, from channels to samples: waveforms are learnt
        # several times sooner than through strides with activations between.
        self.frame = nn.Conv1d(1, width, 4 * self.hop, self.hop, padding=3 * self.hop // 2)
        # Levels, which are slow to learn from samples, are told as log-mel.
        self.levels = LogMel(_BANDS, 4 * self.hop, self.hop, 4 * self.hop)
        self.embed_levels = nn.Linear(_BANDS, width)
        self.norm = nn.LayerNorm(width, eps=1e-8)
        self.analysis = self._stack()
        self.to_code = nn.Linear(width, config.code_width)
        self.quantiser = ResidualQuantiser(
            config.codebooks, config.codebook_size, config.code_width
        )
        self.from_code = nn.Linear(config.code_width, width)
        self.synthesis = self._stack()
        self.upsample = nn.Sequential(
            _upsampling(width, half, STRIDES[0], overlap=2),
            *(Residual(half, dilation) for dilation in _DILATIONS),
            _upsampling(half, 1, STRIDES[1], overlap=4),
        )
        # A filter for what the transposed convolutions make and one for noise, both told by the
        # frames: levels span 60 dB, and without noise, hiss would buzz at the frame rate.
        self.filters = nn.Linear(width, 2 * (self.levels.n_fft // 2 + 1))
        nn.init.constant_(self.filters.bias, _FAINT)

    def _stack(self) -> nn.Sequential:
        c = self.config
        return nn.Sequential(
            *(ConvNeXt(c.width, c.hidden, _KERNEL, scale=1.0 / c.blocks) for _ in range(c.blocks))
        )

    def encode(self, waveform: Tensor) -> Tensor:
        """Map [B, T], T a multiple of ``hop``, to frames [B, T // hop, code_width]."""
        frames: Tensor = self.frame(waveform[:, None] / LEVEL).transpose(1, 2)
        levels = self.levels(waveform)[..., : frames.shape[1]].transpose(1, 2)
        # Shape and level apart, so that quiet frames are coded as well as loud ones.
        frames = self.norm(frames) + self.embed_levels((levels - _MEAN_LEVEL) / _LEVEL_RANGE)
        return self.to_code(self.analysis(frames))  # type: ignore[no-any-return]

    def decode(self, frames: Tensor, noise: Tensor | None = None) -> Tensor:
        """Map frames to a waveform.

        Parameters
        ----------
        frames : Tensor, [B, N, code_width]
            Quantised.
        noise : Tensor, [B, N, bins, 2], optional
            White, of unit variance; drawn from torch's generator when None.

        Returns
        -------
        Tensor, [B, N * hop]
        """
        hidden: Tensor = self.synthesis(self.from_code(frames))
        if noise is None:
            noise = torch.randn(self.noise_shape(frames), device=frames.device)
        tonal: Tensor = self.upsample(hidden.transpose(1, 2))[:, 0]
        return self._filtered(hidden, tonal.float(), noise) * LEVEL

    def noise_shape(self, frames: Tensor) -> tuple[int, ...]:
        """Return the shape of the noise for frames [B, N, code_width]."""
        return (*frames.shape[:2], self.levels.n_fft // 2 + 1, 2)

    def _filtered(self, hidden: Tensor, tonal: Tensor, noise: Tensor) -> Tensor:
        """Filter both sources frame by frame and add them (DDSP, Engel et al. 2020, section 4.2).

        Parameters
        ----------
        hidden : Tensor, [B, N, width]
            Tells the filters.
        tonal : Tensor, [B, N * hop]
            Of the transposed convolutions.
        noise : Tensor, [B, N, bins, 2]
            White, of unit variance.

        Returns
        -------
        Tensor, [B, N * hop]
        """
        taper = self.levels.get_buffer("taper")
        size = taper.numel()
        # Frame n is centred at the middle of its hop, as `frame` cuts it.
        start = (size - self.hop) // 2
        spectrum = torch.fft.rfft(F.pad(tonal, (start, start)).unfold(-1, size, self.hop) * taper)
        white = torch.view_as_complex(noise) * taper.square().sum().div(2).sqrt()
        gain, hiss = self.filters(hidden).float().clamp_max(_LOUDEST).exp().chunk(2, dim=-1)
        pieces = torch.fft.irfft(gain * spectrum + hiss * white, size) * taper
        weight = overlap_add(taper.square().expand(1, pieces.shape[1], size), self.hop)
        total = overlap_add(pieces, self.hop) / weight.clamp_min(1e-3)
        return total[:, start : start + tonal.shape[1]]

    def training_output(self, waveform: Tensor) -> TrainingOutput:
        """Code ``waveform`` [B, T]; every row with its own random number of codebooks.

        Half of the rows use all (quantiser dropout of Kumar et al. 2023, section 3.3), so that
        one model serves all bit rates and is best at the highest.
        """
        c = self.config
        used = torch.randint(c.least_codebooks, c.codebooks + 1, (len(waveform),))
        used[::2] = c.codebooks
        frames = self.encode(waveform)
        # Small distances decide which code is nearest: they keep full precision.
        with torch.autocast(waveform.device.type, enabled=False):
            quantised, commitment = self.quantiser(frames.float(), used.to(waveform.device))
        copy = self.decode(quantised)
        losses = {
            "commitment": c.commitment * commitment,
            "waveform": c.waveform * F.l1_loss(_low(copy.float()), _low(waveform)) / LEVEL,
        }
        return TrainingOutput(copy, losses)

    @torch.inference_mode()
    def resynthesise(
        self, waveform: Tensor, settings: Mapping[str, Any], rng: np.random.Generator
    ) -> Tensor:
        """Copy ``waveform`` [1, T] by way of its codes.

        ``settings["codebooks"]`` is the number used, 1 to all (default: all).
        """
        count = int(settings.get("codebooks", self.config.codebooks))
        if not 1 <= count <= self.config.codebooks:
            raise ValueError(f"codebooks {count} is not in 1..{self.config.codebooks}")
        length = waveform.shape[-1]
        frames = self.encode(F.pad(waveform, (0, -length % self.hop)))
        codes = self.quantiser.encode(frames, count)
        noise = rng.standard_normal(self.noise_shape(frames), dtype=np.float32)
        return self.decode(self.quantiser.decode(codes), torch.from_numpy(noise))[:, :length]


def _low(waveform: Tensor) -> Tensor:
    """Return [B, T] below some 1 kHz, as [B, T // 4].

    Waves above cannot be coded at these rates: their error alone would ask for silence.
    """
    return F.avg_pool1d(waveform[:, None], 8, 4, padding=2)[:, 0]


def _upsampling(before: int, after: int, stride: int, overlap: int) -> nn.ConvTranspose1d:
    """Return a transposed convolution whose kernels cover ``overlap`` strides."""
    padding = (overlap - 1) * stride // 2
    return nn.ConvTranspose1d(before, after, overlap * stride, stride, padding=padding)


class Residual(nn.Module):
    """ELU, dilated convolution, ELU, pointwise convolution, added to the input.

    Parameters
    ----------
    channels, dilation : int
        Channels; samples between the convolution's seven taps.
    """

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.ELU(),
            nn.Conv1d(channels, channels, _KERNEL, dilation=dilation, padding="same"),
            nn.ELU(),
            nn.Conv1d(channels, channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, channels, T] to the same shape."""
        return x + self.branch(x)  # type: ignore[no-any-return]
