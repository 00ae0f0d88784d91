"""The families of neural vocoders, told apart by ``family``, and how one is built."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from loradar.vocoders.neural.base import NeuralVocoder
from loradar.vocoders.neural.codec import CodecConfig, CodecVocoder
from loradar.vocoders.neural.flow import FlowConfig, FlowVocoder
from loradar.vocoders.neural.gan import GanConfig, GanVocoder
from loradar.vocoders.neural.istft import IstftConfig, IstftVocoder

AnyVocoderConfig = Annotated[
    IstftConfig | GanConfig | FlowConfig | CodecConfig, Field(discriminator="family")
]

_MODELS: dict[type, Any] = {
    IstftConfig: IstftVocoder,
    GanConfig: GanVocoder,
    FlowConfig: FlowVocoder,
    CodecConfig: CodecVocoder,
}


def build_vocoder(config: AnyVocoderConfig) -> NeuralVocoder:
    """Return a model of ``config``'s family with fresh weights, on the CPU.

    The weights are drawn from torch's global generator.
    """
    model: NeuralVocoder = _MODELS[type(config)](config)
    return model
