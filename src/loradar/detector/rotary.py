"""Positions as rotations of queries and keys: any clip length, no parameters."""

from __future__ import annotations

import torch
from torch import Tensor

_BASE = 10_000.0


def rotations(frames: int, width: int, device: torch.device | None = None) -> tuple[Tensor, Tensor]:
    """Return cosines and sines [frames, width] (Su et al. 2021, arXiv 2104.09864, eq. 34).

    Parameters
    ----------
    frames : int
        Places in the sequence.
    width : int
        Features of a head, even.
    device : torch.device, optional
        Where to.
    """
    half = torch.arange(width // 2, device=device, dtype=torch.float32) * 2 / width
    angles = torch.arange(frames, device=device, dtype=torch.float32).outer(_BASE**-half)
    angles = torch.cat([angles, angles], dim=1)
    return angles.cos(), angles.sin()


def rotate(heads: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Rotate the features of ``heads`` [B, H, T, width], in their own precision.

    Examples
    --------
    Products depend on the distance of two places alone:

    >>> import torch
    >>> cosines, sines = rotations(9, 4)
    >>> one, two = torch.randn(2, 1, 1, 1, 4).expand(2, 1, 1, 9, 4)
    >>> scores = rotate(one, cosines, sines) @ rotate(two, cosines, sines).transpose(-1, -2)
    >>> bool(torch.allclose(scores[0, 0, 2, 0], scores[0, 0, 8, 6], atol=1e-5))
    True
    """
    first, second = heads.chunk(2, dim=-1)
    turned = torch.cat([-second, first], dim=-1)
    return heads * cosines.to(heads.dtype) + turned * sines.to(heads.dtype)
