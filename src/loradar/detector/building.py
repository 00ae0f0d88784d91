"""A detector made anew from its configuration."""

from __future__ import annotations

from contextlib import nullcontext

import torch
from torch import Tensor, nn

from loradar.detector.aasist import RawAasist
from loradar.detector.backends import build_backend
from loradar.detector.config import DetectorConfig, HuggingFaceEncoderConfig, RawAasistConfig
from loradar.detector.encoders import build_encoder
from loradar.detector.listener import Listener
from loradar.detector.model import Detector
from loradar.detector.spectrogram_cnn import SpectrogramCnn
from loradar.errors import ConfigError
from loradar.moe_lora import inject


def build_detector(
    config: DetectorConfig, *, seed: int | None = None, probe: bool = True
) -> Detector:
    """Make a detector with a fresh back-end and adapters.

    Parameters
    ----------
    config : DetectorConfig
        What to build.
    seed : int, optional
        Makes the random weights depend on it alone (torch's global generator is left as it was).
    probe : bool
        Prove by one forward and backward that every adapter acts on the output.

    Raises
    ------
    ConfigError
        An encoder that is not supported, or a window too short for the detector.
    InputError
        Encoder weights that cannot be had.
    InjectionError
        Adapters that would do nothing.
    """
    with nullcontext() if seed is None else torch.random.fork_rng(devices=[]):
        if seed is not None:
            torch.manual_seed(seed)
        detector = _build(config, probe=probe)
    if config.window < detector.minimum_samples:
        raise ConfigError(
            f"window: {config.window} samples are too few for this detector, which needs "
            f"{detector.minimum_samples}"
        )
    return detector


def _build(config: DetectorConfig, *, probe: bool) -> Detector:
    if not isinstance(config.encoder, HuggingFaceEncoderConfig):
        baseline: nn.Module = SpectrogramCnn()
        if isinstance(config.encoder, RawAasistConfig):
            baseline = RawAasist(config.encoder.variant)
        detector = Detector(config, None, baseline)
        if config.adaptation.mode == "frozen":
            detector.requires_grad_(False)
        return detector

    encoder = build_encoder(config.encoder)
    # Before the adapters, so that one seed gives every mode the same back-end.
    backend = build_backend(config.backend, encoder.width)
    detector = Detector(config, encoder, backend)
    if detector.keeps_encoder:
        encoder.freeze_feature_encoder()
        encoder.model.requires_grad_(False).to(getattr(torch, config.encoder.frozen_dtype))
        if config.trains_feature_encoder:
            if not encoder.feature_encoder:
                raise ConfigError(
                    "encoder.freeze_feature_encoder is false, but this encoder has no feature "
                    "encoder that could be trained by itself"
                )
            for part in encoder.feature_encoder:
                encoder.model.get_submodule(part).requires_grad_(True)
    elif config.encoder.freeze_feature_encoder:
        encoder.freeze_feature_encoder()
    mixture = config.adaptation.mixture
    if mixture is not None:
        detector.eval()

        def encode() -> Tensor:
            clip = torch.randn(1, max(8_000, detector.minimum_samples))
            features: Tensor = encoder(clip)[0]
            return features

        detector.mixture = inject(encoder.model, mixture, probe=encode if probe else None)
        if mixture.cue_size:
            detector.listener = Listener(mixture.cue_size)
    return detector.train()
