"""Detectors: encoder, adapters and back-end, from configuration to checkpoint.

What is named here is imported on first use, so that modules of this package which need no torch
(`loradar.detector.scorer`) load none.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loradar.detector.building import build_detector
    from loradar.detector.checkpoint import load_detector, save_detector
    from loradar.detector.config import DetectorConfig
    from loradar.detector.model import Detector
    from loradar.detector.public_weights import load_public_aasist

__all__ = [
    "Detector",
    "DetectorConfig",
    "build_detector",
    "load_detector",
    "load_public_aasist",
    "save_detector",
]

_PLACES = {
    "Detector": "model",
    "DetectorConfig": "config",
    "build_detector": "building",
    "load_detector": "checkpoint",
    "load_public_aasist": "public_weights",
    "save_detector": "checkpoint",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
