"""The layers of the networks, written so that torch's CPU kernels are fast on many rows of few features."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Linear", "Tanh", "stacked_linear", "tanh"]


class Linear(nn.Linear):
    """`torch.nn.Linear`, laid out so that the gradient of a widening layer's weights is quick.

    Autograd multiplies in the order of the weight's strides. For 7 features, 64 units and some thousand rows,
    (7, rows) @ (rows, 64) takes a quarter of the time of (64, rows) @ (rows, 7).
    """

    def forward(self, input: Tensor) -> Tensor:
        """Return ``input @ weight.T + bias`` for `input` (..., in_features)."""
        weight = self.weight
        if self.in_features < self.out_features:
            weight = weight.t().contiguous().t()
        return F.linear(input, weight, self.bias)


class Tanh(nn.Module):
    """The hyperbolic tangent as a layer; see `tanh`."""

    def forward(self, input: Tensor) -> Tensor:
        """Return the hyperbolic tangent of each element."""
        return tanh(input)


def tanh(values: Tensor) -> Tensor:
    """Return the hyperbolic tangent, on a CPU as ``2 sigmoid(2 x) - 1``.

    The error is at most 2e-7. `torch.tanh` is exact to the last bit or two of small values as well, which a
    network has no use for, and takes five times as long on a CPU.
    """
    if values.device.type != "cpu":
        return torch.tanh(values)
    result: Tensor = _Tanh.apply(values)  # type: ignore[no-untyped-call]
    return result


class _Tanh(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        result = (2.0 * values).sigmoid_().mul_(2.0).sub_(1.0)
        ctx.save_for_backward(result)
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (result,) = ctx.saved_tensors
        return torch.ops.aten.tanh_backward(gradient, result)  # type: ignore[no-any-return]


def stacked_linear(inputs: Tensor, weights: Tensor, biases: Tensor) -> Tensor:
    """Return B linear layers of B inputs: ``inputs[b] @ weights[b].T + biases[b]``.

    Parameters
    ----------
    inputs
        Float (B, n, in).
    weights, biases
        Float (B, out, in) and (B, out).

    Returns
    -------
    Tensor
        Float (B, n, out).
    """
    result: Tensor = _StackedLinear.apply(inputs, weights, biases)  # type: ignore[no-untyped-call]
    return result


class _StackedLinear(torch.autograd.Function):
    """`torch.baddbmm` whose gradient of the weights has the smaller matrix first, as in `Linear`."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weights: Tensor, biases: Tensor) -> Tensor:
        ctx.save_for_backward(inputs, weights)
        return torch.baddbmm(biases.unsqueeze(1), inputs, weights.mT)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        inputs, weights = ctx.saved_tensors
        to_inputs = torch.bmm(gradient, weights) if ctx.needs_input_grad[0] else None
        if inputs.shape[-1] < gradient.shape[-1]:
            to_weights = torch.bmm(inputs.mT, gradient).mT
        else:
            to_weights = torch.bmm(gradient.mT, inputs)
        return to_inputs, to_weights, gradient.sum(1)
