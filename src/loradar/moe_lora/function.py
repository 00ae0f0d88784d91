"""Two linear maps of one input with one pass for the input's gradient."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class SharedInputLinear(torch.autograd.Function):
    """``(x, W, b, D) -> (x W^T + b, x D^T)``.

    As two calls of `torch.nn.functional.linear`, autograd would write both input gradients
    (each as large as ``x``) and add them in a third pass; here the second product accumulates into
    the first. The frozen map's output is not kept, so its owner may add to it in place.
    """

    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor | None, down: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Compute both products.

        Parameters
        ----------
        ctx : object
            Autograd's context.
        inputs : Tensor
            ``[N, d_in]``.
        weight : Tensor
            ``[d_out, d_in]``.
        bias : Tensor or None
            ``[d_out]``.
        down : Tensor
            ``[m, d_in]``.

        Returns
        -------
        tuple of Tensor
            ``[N, d_out]`` and ``[N, m]``.
        """
        ctx.save_for_backward(inputs, weight, down)
        return linear_pair(inputs, weight, bias, down)

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_output: Tensor, grad_low: Tensor
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None, Tensor | None]:
        """Return the gradients for ``inputs``, ``weight``, ``bias`` and ``down``."""
        inputs, weight, down = ctx.saved_tensors
        for_inputs, for_weight, for_bias, for_down = ctx.needs_input_grad
        grad_inputs = grad_weight = grad_bias = grad_down = None
        if for_inputs:
            grad_inputs = (grad_output @ weight).addmm_(grad_low, down)
        # The base is frozen as a rule; where its owner unfroze it, it trains as it should.
        if for_weight:
            grad_weight = grad_output.t() @ inputs
        if for_bias:
            grad_bias = grad_output.sum(0)
        if for_down:
            grad_down = grad_low.t() @ inputs
        return grad_inputs, grad_weight, grad_bias, grad_down


def shared_input_linear(
    inputs: Tensor, weight: Tensor, bias: Tensor | None, down: Tensor
) -> tuple[Tensor, Tensor]:
    """Apply `SharedInputLinear`."""
    output, low = SharedInputLinear.apply(inputs, weight, bias, down)  # type: ignore[no-untyped-call]
    return output, low


def linear_pair(
    inputs: Tensor, weight: Tensor, bias: Tensor | None, down: Tensor
) -> tuple[Tensor, Tensor]:
    """Compute ``inputs @ weight.T + bias`` and ``inputs @ down.T`` (shapes as above)."""
    return torch.nn.functional.linear(inputs, weight, bias), inputs @ down.t()
