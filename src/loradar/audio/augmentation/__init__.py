"""Augmentation of raw waveforms: RawBoost, channels, and chains of them."""

from loradar.audio.augmentation.chain import (
    EFFECTS,
    Augmentation,
    AugmentationConfig,
    AugmentationStep,
    build_augmentation,
)
from loradar.audio.augmentation.codecs import CODECS, available_codecs
from loradar.audio.augmentation.effects import Effect

__all__ = [
    "CODECS",
    "EFFECTS",
    "Augmentation",
    "AugmentationConfig",
    "AugmentationStep",
    "Effect",
    "available_codecs",
    "build_augmentation",
]
