"""The learning rate of each of a detector's parameters."""

from __future__ import annotations

import re
from collections.abc import Iterator

from torch import nn

from loradar.detector.model import Detector
from loradar.training.recipe import TrainingConfig

_ENCODER = "encoder.model."
_BLOCK = re.compile(r"\.layers\.(\d+)\.")
# The norm behind the last block, which stands beside the blocks.
_LAST_NORM = re.compile(r"^encoder\.model\.(?:encoder\.)?layer_norm\.")


def rates(detector: Detector, training: TrainingConfig) -> Iterator[tuple[float, nn.Parameter]]:
    """Give each parameter its peak learning rate.

    The encoder's (adapters included) is ``learning_rate``, all else has the back-end's. With
    ``layer_decay`` d below 1 the encoder's own parameters in block l of L get
    ``learning_rate * d ** (L - l)``, l = 1..L, those before the first block l = 0, the norm behind
    the last L: what a layer learnt in pre-training is the more general the earlier it is. Adapters
    start from nothing and are spared.

    Layer-wise rates: Howard and Ruder 2018, arXiv 1801.06146 (discriminative fine-tuning).
    """
    head = training.backend_learning_rate or training.learning_rate
    adapted = set()
    if detector.mixture is not None:
        adapted = {id(parameter) for parameter in detector.mixture.parameters()}
    named = list(detector.named_parameters())
    inner = [name for name, _ in named if name.startswith(_ENCODER)]
    numbers = [int(found[1]) for name in inner if (found := _BLOCK.search(name))]
    blocks = max(numbers, default=-1) + 1
    for name, parameter in named:
        if not name.startswith(_ENCODER):
            yield head, parameter
            continue
        found = _BLOCK.search(name)
        depth = int(found[1]) + 1 if found else blocks if _LAST_NORM.search(name) else 0
        above = 0 if id(parameter) in adapted else blocks - depth
        yield training.learning_rate * training.layer_decay**above, parameter
