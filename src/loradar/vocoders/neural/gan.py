"""An upsampling vocoder: transposed convolutions from log-mel frames to samples."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from loradar.vocoders.neural.base import VocoderConfig


class GanConfig(VocoderConfig):
    """An upsampling vocoder.

    Attributes
    ----------
    bands : int
        Of the log-mel input.
    """

    family: Literal["gan"] = "gan"
    bands: int = Field(80, ge=8)
