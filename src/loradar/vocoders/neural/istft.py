"""An inverse-STFT vocoder: a convolutional stack on log-mel frames predicts a spectrum."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from loradar.vocoders.neural.base import VocoderConfig


class IstftConfig(VocoderConfig):
    """An iSTFT vocoder.

    Attributes
    ----------
    bands, n_fft, hop : int
        Of the log-mel input and of the predicted spectrum.
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
