"""From the `encoder` section of a configuration to a speech encoder."""

from __future__ import annotations

from importlib import import_module
from typing import Any, cast

from loradar.detector.config import HuggingFaceEncoderConfig
from loradar.detector.pretrained import load_model, make_model
from loradar.detector.spectral import MODEL_TYPE
from loradar.detector.speech_encoder import SpeechEncoder
from loradar.errors import ConfigError

#: Module and class by the ``model_type`` of transformers. XLSR and XLS-R are of type wav2vec2.
#: Imported when they are asked for: what one kind needs of transformers can cost seconds.
ENCODERS = {
    "wav2vec2": ("waveform_encoder", "WaveformEncoder"),
    "hubert": ("waveform_encoder", "WaveformEncoder"),
    "wavlm": ("waveform_encoder", "WaveformEncoder"),
    "wav2vec2-bert": ("filterbank_encoder", "FilterbankEncoder"),
    "whisper": ("whisper", "WhisperSpeechEncoder"),
    MODEL_TYPE: ("spectral_encoder", "SpectralEncoder"),
}


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
    source = config.id or "encoder.config"
    kind = model.config.model_type
    if kind not in ENCODERS:
        raise ConfigError(
            f"{source}: model type {kind} is not supported; supported are {', '.join(ENCODERS)}"
        )
    if getattr(model.config, "add_adapter", False):
        raise ConfigError(f"{source}: its add_adapter shortens the output, which is not supported")
    if kind == "whisper":
        model = model.encoder
        count = len(model.layers)
    else:
        count = len(model.encoder.layers)
    if config.layers is not None and config.layers > count:
        raise ConfigError(f"{source}: layers is {config.layers}, but the encoder has {count}")
    module, name = ENCODERS[kind]
    made: Any = getattr(import_module(f"loradar.detector.{module}"), name)
    encoder: Any = made(model, config.layers, learned_mix=config.layer_mix == "learned")
    if config.spec_augment:
        if not hasattr(encoder, "spec_augment"):
            raise ConfigError(
                f"encoder.spec_augment is true, but {source} reads no log spectrogram; leave it out"
            )
        encoder.spec_augment = True
    return cast(SpeechEncoder, encoder)
