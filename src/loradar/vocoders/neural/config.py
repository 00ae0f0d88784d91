"""The families of neural vocoders, told apart by ``family``, and how one is built."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from loradar.vocoders.neural.base import NeuralVocoder
from loradar.vocoders.neural.gan import GanConfig
from loradar.vocoders.neural.istft import IstftConfig

AnyVocoderConfig = Annotated[IstftConfig | GanConfig, Field(discriminator="family")]


def build_vocoder(config: AnyVocoderConfig) -> NeuralVocoder:
    """Return a model of ``config``'s family with fresh weights, on the CPU."""
    raise NotImplementedError(config.family)
