"""Weights of fewer bits, for scoring many clips on a processor.

Products of 8-bit integers are oneDNN's, which PyTorch carries. They need no calibration data:
weights have a scale for each output channel, inputs one for each frame, found as it comes, so that
what a window gets does not depend on the windows beside it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

#: Largest magnitude of a quantised number, and what stands for 0 in unsigned inputs.
_MOST, _ZERO = 127.0, 128


class Int8Linear(nn.Module):
    """``y = x W^T + b`` with ``W`` and ``x`` in 8 bits and sums in 32; no gradient.

    Parameters
    ----------
    linear : nn.Linear
        The map to imitate; it is left as it is.

    Notes
    -----
    Scales are symmetric: ``max |W_i| / 127`` for output i, ``max |x_t| / 127`` for frame t
    (LLM.int8(), Dettmers et al. 2022, arXiv 2208.07339, section 2.1, without its outliers).
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        weight = linear.weight.detach().float()
        scale = (weight.abs().amax(dim=1) / _MOST).clamp_min(torch.finfo(torch.float32).tiny)
        rounded = (weight / scale.unsqueeze(1)).round().to(torch.int8)
        bias = torch.zeros(len(weight)) if linear.bias is None else linear.bias.detach().float()
        # Not buffers: packed weights have a layout of their own and cannot be saved or moved.
        self._packed = torch.ops.onednn.qlinear_prepack(rounded.contiguous(), None)
        self._scale, self._zeros = scale, torch.zeros(len(weight), dtype=torch.int64)
        self._bias = bias

    def extra_repr(self) -> str:
        """Describe the map for ``print(model)``."""
        return f"in_features={self.in_features}, out_features={self.out_features}"

    def forward(self, inputs: Tensor) -> Tensor:
        """Map [..., in_features] to [..., out_features], in autocast's precision or the input's."""
        kind = inputs.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else inputs.dtype
        rows = inputs.reshape(-1, self.in_features)
        # Of several ways to the same numbers, the fastest: on a processor, reading and writing them
        # takes as long as a third of the product.
        most = rows.abs().amax(dim=1, keepdim=True).float()
        most = most.clamp_min(torch.finfo(torch.float32).tiny)
        whole = (rows.float() * (_MOST / most)).round_().to(torch.int8)
        summed = torch.ops.onednn.qlinear_pointwise(
            whole.view(torch.uint8).bitwise_xor_(_ZERO),  # + 128
            1.0,
            _ZERO,
            self._packed,
            self._scale,
            self._zeros,
            None,
            1.0,
            0,
            torch.float32,
            "none",
            [],
            "",
        )
        mapped = torch.addcmul(self._bias, summed, most / _MOST).to(dtype)
        return mapped.view(*inputs.shape[:-1], self.out_features)


def quantise_linears(module: nn.Module) -> int:
    """Replace every plain linear map inside ``module`` by its `Int8Linear`.

    Returns
    -------
    int
        How many there were.
    """
    count = 0
    for name, child in list(module.named_children()):
        if type(child) is nn.Linear:
            setattr(module, name, Int8Linear(child))
            count += 1
        else:
            count += quantise_linears(child)
    return count


def halve(module: nn.Module) -> None:
    """Keep the weights of products and convolutions inside ``module`` in bfloat16.

    Autocast takes them so; kept so, they need not be cast anew for each pass.
    """
    for child in module.modules():
        if type(child) in (nn.Linear, nn.Conv1d, nn.Conv2d) and not is_parametrized(child):
            child.to(torch.bfloat16)
