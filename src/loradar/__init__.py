"""Loradar: tell real human speech from machine-made speech.

Importing this package loads neither torch nor transformers; the parts that need them do so on
their own import (``loradar.moe_lora``, ``loradar.detector``, ...), and the names here on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loradar.inference.api import Detector
    from loradar.inference.transformers_model import register
    from loradar.inference.verdict import Verdict

__version__ = "0.1.0.dev0"

__all__ = ["Detector", "Verdict", "__version__", "register"]

_PLACES = {
    "Detector": "inference.api",
    "Verdict": "inference.verdict",
    "register": "inference.transformers_model",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
