"""Masked stretches of frames, and how they get into any encoder."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


def span_mask(
    batch: int,
    frames: int,
    *,
    share: float,
    span: int,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Draw stretches to mask.

    Parameters
    ----------
    batch, frames : int
        Clips, and frames of each.
    share : float
        Share of the frames to mask, about; stretches may overlap.
    span : int
        Frames of a stretch.
    generator : torch.Generator, optional
        Where the draws come from; torch's global generator when not given.

    Returns
    -------
    Tensor
        [batch, frames] bool, on the CPU; at least one stretch of each clip is True.
    """
    span = min(span, frames)
    count = max(1, round(-math.log1p(-share) * frames / span))
    starts = torch.randint(frames - span + 1, (batch, count, 1), generator=generator)
    places = torch.arange(frames)
    return ((places >= starts) & (places < starts + span)).any(dim=1)


@contextmanager
def masked_input(stack: nn.Module, mask: Tensor, vector: Tensor) -> Iterator[None]:
    """Put ``vector`` [D] in place of the masked frames that ``stack`` reads.

    Parameters
    ----------
    stack : nn.Module
        The transformer blocks: first argument [B, T, D].
    mask : Tensor
        [B, T], True where to put it.
    vector : Tensor
        [D].
    """

    def replace(module: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
        hidden, *rest = given
        return (torch.where(mask.unsqueeze(-1), vector.to(hidden.dtype), hidden), *rest)

    hook = stack.register_forward_pre_hook(replace)
    try:
        yield
    finally:
        hook.remove()
