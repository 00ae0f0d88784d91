"""Detectors: encoder, adapters and back-end, from configuration to checkpoint."""

from loradar.detector.checkpoint import load_detector, save_detector
from loradar.detector.config import DetectorConfig
from loradar.detector.model import Detector, build_detector
from loradar.detector.public_weights import load_public_aasist

__all__ = [
    "Detector",
    "DetectorConfig",
    "build_detector",
    "load_detector",
    "load_public_aasist",
    "save_detector",
]
