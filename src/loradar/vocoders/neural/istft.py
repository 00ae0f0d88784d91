"""An inverse-STFT vocoder: a convolutional stack on log-mel frames predicts a spectrum.

After Vocos (Siuzdak 2023, "Vocos: closing the gap between time-domain and Fourier-based neural
vocoders", section 3): no upsampling layer; magnitude and phase of every frame, then overlap-add.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from loradar.vocoders.neural.base import MelVocoder, VocoderConfig
from loradar.vocoders.neural.blocks import ConvNeXt
from loradar.vocoders.neural.mel import FLOOR, LogMel, spreading

_LOUDEST = 1e3  # of a predicted bin; bounds the first steps


class IstftConfig(VocoderConfig):
    """An iSTFT vocoder.

    Attributes
    ----------
    bands, n_fft, hop : int
        Of the log-mel input and of the predicted spectrum; ``hop`` divides ``n_fft``.
    width, hidden, blocks, kernel : int
        Channels of the stack, of its pointwise layers, number of blocks, frames a block sees.
    """

    family: Literal["istft"] = "istft"
    bands: int = Field(80, ge=8)
    n_fft: int = Field(1024, ge=64)
    hop: int = Field(256, ge=16)
    width: int = Field(192, ge=8)
    hidden: int = Field(480, ge=8)
    blocks: int = Field(6, ge=1)
    kernel: int = Field(7, ge=1)

    @model_validator(mode="after")
    def _whole_hops(self) -> IstftConfig:
        if self.n_fft % self.hop or self.n_fft < 2 * self.hop:
            raise ValueError(f"n_fft {self.n_fft} is not a multiple, 2 or more, of hop {self.hop}")
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel {self.kernel} is even; it must be odd")
        return self


class IstftVocoder(MelVocoder):
    """Log-mel frames -> ConvNeXt stack -> log-magnitude and phase -> inverse STFT.

    The magnitude starts from the input spread back over the bins (the filters' pseudo-inverse),
    so that the stack learns the fine structure and the phase, not what it was told.
    """

    config: IstftConfig

    def __init__(self, config: IstftConfig) -> None:
        super().__init__(LogMel(config.bands, config.n_fft, config.hop, config.n_fft))
        self.config = config
        self.bins = config.n_fft // 2 + 1
        self.embed = nn.Conv1d(config.bands, config.width, config.kernel, padding="same")
        self.norm = nn.LayerNorm(config.width)
        self.stack = nn.ModuleList(
            ConvNeXt(config.width, config.hidden, config.kernel, scale=1.0 / config.blocks)
            for _ in range(config.blocks)
        )
        self.head = nn.Sequential(
            nn.LayerNorm(config.width), nn.Linear(config.width, 2 * self.bins)
        )
        spread = spreading(self.mel.get_buffer("filters"))
        self.register_buffer("spread", spread, persistent=False)

    def generate(self, log_mel: Tensor, length: int) -> Tensor:
        """Map log-mel [B, bands, N] to a waveform [B, length]."""
        x = self.norm(self.embed(log_mel).transpose(1, 2))
        for block in self.stack:
            x = block(x)
        change, phase = self.head(x).float().split(self.bins, dim=-1)
        coarse = (log_mel.exp().transpose(1, 2) @ self.get_buffer("spread").T).clamp_min(FLOOR)
        magnitude = (coarse.log() + change).exp().clamp_max(_LOUDEST)
        spectrum = torch.complex(magnitude * phase.cos(), magnitude * phase.sin())
        return inverse_stft(spectrum, self.mel.get_buffer("taper"), self.hop, length)


def inverse_stft(spectrum: Tensor, window: Tensor, hop: int, length: int) -> Tensor:
    """Return the least-squares inverse of a centred STFT (Griffin and Lim 1984, eq. 6).

    Parameters
    ----------
    spectrum : Tensor of complex, [B, N, n_fft // 2 + 1]
        Frame n is centred at sample n * hop.
    window : Tensor, [n_fft]
        Of the analysis.
    hop, length : int
        Samples; ``hop`` divides n_fft, ``length`` is at most N * hop.

    Returns
    -------
    Tensor, [B, length]
    """
    size = window.numel()
    frames = torch.fft.irfft(spectrum, size) * window
    weight = overlap_add((window.square()).expand(1, frames.shape[1], size), hop)
    total = overlap_add(frames, hop) / weight.clamp_min(1e-3)
    return total[:, size // 2 : size // 2 + length]


def overlap_add(frames: Tensor, hop: int) -> Tensor:
    """Sum frames [B, N, size] that start ``hop`` samples apart: [B, (N - 1) * hop + size]."""
    batch, count, size = frames.shape
    parts = frames.reshape(batch, count, size // hop, hop).unbind(2)
    # Whole hops are added row to row: much faster on a CPU than torch's fold.
    total = frames.new_zeros(batch, count + size // hop - 1, hop)
    for place, part in enumerate(parts):
        total[:, place : place + count] += part
    return total.reshape(batch, -1)
