"""From the `encoder` section of a configuration to a speech encoder."""

from __future__ import annotations

from typing import Any

from loradar.detector.config import HuggingFaceEncoderConfig
from loradar.detector.filterbank_encoder import FilterbankEncoder
from loradar.detector.pretrained import load_model, make_model
from loradar.detector.spectral_encoder import SpectralEncoder
from loradar.detector.spectral_model import MODEL_TYPE
from loradar.detector.speech_encoder import SpeechEncoder
from loradar.detector.waveform_encoder import WaveformEncoder
from loradar.detector.whisper import WhisperSpeechEncoder
from loradar.errors import ConfigError

#: By the ``model_type`` of transformers. XLSR and XLS-R are of type wav2vec2.
ENCODERS: dict[str, Any] = {
    "wav2vec2": WaveformEncoder,
    "hubert": WaveformEncoder,
    "wavlm": WaveformEncoder,
    "wav2vec2-bert": FilterbankEncoder,
    "whisper": WhisperSpeechEncoder,
    MODEL_TYPE: SpectralEncoder,
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
    encoder: SpeechEncoder = ENCODERS[kind](
        model, config.layers, learned_mix=config.layer_mix == "learned"
    )
    return encoder
