"""A mixture without one of its experts, for as long as a question takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from loradar.moe_lora.edit import levers_of
from loradar.moe_lora.mixture import MoeLora


@contextmanager
def silenced(mixture: MoeLora, number: int) -> Iterator[None]:
    """Let an expert add nothing inside the block; gates, the others' too, stay as they are.

    What makes it act is zero meanwhile, so no other thread may use the model and nothing may train.

    Parameters
    ----------
    mixture : MoeLora
        The handle.
    number : int
        The expert.

    Raises
    ------
    ConfigError
        There is no such expert.
    """
    parts = levers_of(mixture, number)
    kept = [part.clone() for part in parts]
    try:
        with torch.no_grad():
            for part in parts:
                part.zero_()
        yield
    finally:
        with torch.no_grad():
            for part, before in zip(parts, kept, strict=True):
                part.copy_(before)
