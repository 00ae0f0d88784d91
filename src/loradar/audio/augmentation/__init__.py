"""Augmentation of raw waveforms: RawBoost, channels, and chains of them."""

from loradar.audio.augmentation.chain import (
    EFFECTS,
    Augmentation,
    AugmentationConfig,
    AugmentationStep,
    build_augmentation,
)
from loradar.audio.augmentation.effects import Effect

__all__ = [
    "EFFECTS",
    "Augmentation",
    "AugmentationConfig",
    "AugmentationStep",
    "Effect",
    "build_augmentation",
]
