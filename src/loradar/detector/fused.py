"""The same numbers in fewer passes over memory, where nothing will ask for a gradient.

On a processor half of a small detector's work beside its products is reading and writing. While
windows are scored (`scoring`) these functions spare some of that; in training, in validation and
in an export they are the plain operations, and no weight is ever changed.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def scoring() -> bool:
    """Whether windows are being scored: inference mode, which `Detector.score_windows` sets."""
    return torch.is_inference_mode_enabled()


def conv_norm(conv: nn.Conv2d, norm: nn.BatchNorm2d, maps: Tensor) -> Tensor:
    """Return ``norm(conv(maps))``; when scoring, by one convolution.

    In evaluation a batch norm multiplies each channel by a number and adds another: so may the
    convolution before it. Its weights are small beside its maps, and are scaled anew each time.

    Parameters
    ----------
    conv : nn.Conv2d
        The convolution.
    norm : nn.BatchNorm2d
        What follows it, over its output channels.
    maps : Tensor
        [B, C, F, T].

    Returns
    -------
    Tensor
        [B, C', F', T'].
    """
    mean, variance = norm.running_mean, norm.running_var
    if not scoring() or norm.training or mean is None or variance is None:
        return norm(conv(maps))  # type: ignore[no-any-return]
    scale = norm.weight * torch.rsqrt(variance + norm.eps)
    shift = norm.bias - mean * scale
    if conv.bias is not None:
        shift = shift + conv.bias * scale
    weight = conv.weight * scale[:, None, None, None]
    return F.conv2d(maps, weight, shift, conv.stride, conv.padding, conv.dilation, conv.groups)


def magnitudes(spectrum: Tensor) -> Tensor:
    """Return ``abs`` of a complex tensor; when scoring, without its care for the largest numbers.

    `torch.abs` scales each number so that no square overflows. Spectra of normalised waveforms
    are far from that.
    """
    if not scoring():
        return spectrum.abs()
    real, imaginary = torch.view_as_real(spectrum).unbind(-1)
    return real.square().addcmul_(imaginary, imaginary).sqrt_()


def tanh(values: Tensor) -> Tensor:
    """Return ``tanh(values)``; when scoring in full precision, as ``2 sigmoid(2 x) - 1``.

    PyTorch computes that in a fifth of the time. It is off by 1e-7 at most, which near zero is
    less exact than `torch.tanh` and in half precision would be too much.
    """
    if not scoring() or values.dtype not in (torch.float32, torch.float64):
        return torch.tanh(values)
    return (values * 2).sigmoid_().mul_(2).sub_(1)
