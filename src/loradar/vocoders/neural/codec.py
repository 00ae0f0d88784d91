"""A neural codec: strided convolutions, residual vector quantisation, transposed convolutions.

After SoundStream (Zeghidour et al. 2021), EnCodec (Défossez et al. 2022) and the Descript Audio
Codec (Kumar et al. 2023), with most of the work at the slow frame rate, where a CPU is quick.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from loradar.vocoders.neural.base import NeuralVocoder, TrainingOutput, VocoderConfig
from loradar.vocoders.neural.blocks import ConvNeXt
from loradar.vocoders.neural.quantiser import ResidualQuantiser

#: Strides from samples to frames: 16,000 -> 2,000 -> 500 -> 125 a second.
STRIDES = (8, 4, 4)
#: Loudness inside the model, and the quietest clip that is brought up to it in full.
LEVEL, QUIETEST = 0.1, 0.003
_KERNEL = 7


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
        Weights of the commitment loss and of the waveform's absolute error.
    """

    family: Literal["codec"] = "codec"
    width: int = Field(192, ge=8, multiple_of=4)
    hidden: int = Field(384, ge=8)
    blocks: int = Field(4, ge=1)
    codebooks: int = Field(8, ge=1)
    codebook_size: int = Field(256, ge=2)
    code_width: int = Field(32, ge=1)
    least_codebooks: int = Field(2, ge=1)
    commitment: float = Field(1.0, ge=0)
    waveform: float = Field(1.0, ge=0)


class CodecVocoder(NeuralVocoder):
    """Waveform -> frames -> codes -> frames -> waveform."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        self.config = config
        self.hop = int(np.prod(STRIDES))
        width = config.width
        first, second = width // 4, width // 2
        down = STRIDES
        self.encoder = nn.Sequential(
            nn.Conv1d(1, first, 4 * down[0], down[0], padding=3 * down[0] // 2),
            Residual(first, 1),
            nn.ELU(),
            nn.Conv1d(first, second, 2 * down[1], down[1], padding=down[1] // 2),
            Residual(second, 1),
            nn.ELU(),
            nn.Conv1d(second, width, 2 * down[2], down[2], padding=down[2] // 2),
        )
        self.analysis = self._stack()
        self.to_code = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, config.code_width))
        self.quantiser = ResidualQuantiser(
            config.codebooks, config.codebook_size, config.code_width
        )
        self.from_code = nn.Linear(config.code_width, width)
        self.synthesis = self._stack()
        up = tuple(reversed(STRIDES))
        self.decoder = nn.Sequential(
            nn.ConvTranspose1d(width, second, 2 * up[0], up[0], padding=up[0] // 2),
            Residual(second, 1),
            Residual(second, 3),
            nn.ELU(),
            nn.ConvTranspose1d(second, first, 2 * up[1], up[1], padding=up[1] // 2),
            Residual(first, 1),
            Residual(first, 3),
            Residual(first, 9),
            nn.ELU(),
            nn.ConvTranspose1d(first, 16, 2 * up[2], up[2], padding=up[2] // 2),
            nn.ELU(),
            nn.Conv1d(16, 1, _KERNEL, padding=_KERNEL // 2),
        )

    def _stack(self) -> nn.Sequential:
        c = self.config
        return nn.Sequential(
            *(ConvNeXt(c.width, c.hidden, _KERNEL, scale=1.0 / c.blocks) for _ in range(c.blocks))
        )

    def encode(self, waveform: Tensor) -> Tensor:
        """Map [B, T], T a multiple of ``hop``, to frames [B, T // hop, code_width]."""
        frames: Tensor = self.encoder(waveform[:, None]).transpose(1, 2)
        return self.to_code(self.analysis(frames))  # type: ignore[no-any-return]

    def decode(self, frames: Tensor) -> Tensor:
        """Map frames [B, N, code_width] to a waveform [B, N * hop]."""
        hidden: Tensor = self.synthesis(self.from_code(frames)).transpose(1, 2)
        return self.decoder(hidden)[:, 0]  # type: ignore[no-any-return]

    def training_output(self, waveform: Tensor) -> TrainingOutput:
        """Code ``waveform`` [B, T]; every row with its own random number of codebooks.

        Half of the rows use all (quantiser dropout of Kumar et al. 2023, section 3.3), so that
        one model serves all bit rates and is best at the highest.
        """
        c = self.config
        level = _level(waveform)
        source = waveform / level
        used = torch.randint(c.least_codebooks, c.codebooks + 1, (len(waveform),))
        used[::2] = c.codebooks
        quantised, commitment = self.quantiser(self.encode(source), used.to(waveform.device))
        copy = self.decode(quantised)
        losses = {
            "commitment": c.commitment * commitment,
            "waveform": c.waveform * F.l1_loss(copy, source) / LEVEL,
        }
        return TrainingOutput(copy * level, losses)

    @torch.inference_mode()
    def resynthesise(
        self, waveform: Tensor, settings: Mapping[str, Any], rng: np.random.Generator
    ) -> Tensor:
        """Copy ``waveform`` [1, T] by way of its codes.

        ``settings["codebooks"]`` is the number used, 1 to all (default: all). Nothing is random.
        """
        count = int(settings.get("codebooks", self.config.codebooks))
        if not 1 <= count <= self.config.codebooks:
            raise ValueError(f"codebooks {count} is not in 1..{self.config.codebooks}")
        level = _level(waveform)
        length = waveform.shape[-1]
        source = F.pad(waveform / level, (0, -length % self.hop))
        codes = self.quantiser.encode(self.encode(source), count)
        return self.decode(self.quantiser.decode(codes))[:, :length] * level


def _level(waveform: Tensor) -> Tensor:
    """Return the gain [B, 1] that ``LEVEL`` lacks to each clip's loudness (EnCodec's section 3.1)."""
    loudness = waveform.square().mean(-1, keepdim=True).sqrt()
    return loudness.clamp_min(QUIETEST) / LEVEL


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
