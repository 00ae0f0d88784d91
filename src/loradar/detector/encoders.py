"""From the `encoder` section of a configuration to a speech encoder."""

from __future__ import annotations

from typing import Any

from torch import nn

from loradar.detector.config import HuggingFaceEncoderConfig
from loradar.detector.pretrained import load_model, make_model
from loradar.detector.speech_encoder import SpeechEncoder
from loradar.detector.waveform_encoder import WaveformEncoder
from loradar.detector.whisper import WhisperSpeechEncoder
from loradar.errors import ConfigError

WAVEFORM_TYPES = ("wav2vec2", "hubert", "wavlm")


def build_encoder(config: HuggingFaceEncoderConfig) -> SpeechEncoder:
    """Load or make an encoder, cut to its first layers where asked.

    Raises
    ------
    ConfigError
        A model type that is not supported, or more layers asked than there are.
    InputError
        Weights that cannot be had.
    """
    if config.id is not None:
        model: Any = load_model(config.id, config.revision)
    else:
        model = make_model(config.config or {})
    kind = model.config.model_type
    source = config.id or "encoder.config"
    mix = config.layer_mix == "learned"
    if kind == "whisper":
        _check_layers(config.layers, model.encoder.layers, source)
        return WhisperSpeechEncoder(model.encoder, config.layers, learned_mix=mix)
    if kind in WAVEFORM_TYPES:
        _check_layers(config.layers, model.encoder.layers, source)
        return WaveformEncoder(model, config.layers, learned_mix=mix)
    supported = ", ".join((*WAVEFORM_TYPES, "whisper"))
    raise ConfigError(f"{source}: model type {kind} is not supported; supported are {supported}")


def _check_layers(asked: int | None, layers: nn.ModuleList, source: str) -> None:
    if asked is not None and asked > len(layers):
        raise ConfigError(f"{source}: layers is {asked}, but the encoder has {len(layers)}")
