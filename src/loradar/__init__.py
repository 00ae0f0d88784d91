"""Loradar: tell real human speech from machine-made speech.

Importing this package loads neither torch nor transformers; the parts that need them do so on
their own import (``loradar.moe_lora``, ``loradar.detector``, ...).
"""

__version__ = "0.1.0.dev0"
