"""The layers against torch's own."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from vecmarket.training.layers import Linear, Tanh, stacked_linear, tanh


def test_tanh_is_that_of_torch():
    x = torch.linspace(-20.0, 20.0, 400_001)
    exact = torch.tanh(x.double())
    assert (tanh(x).double() - exact).abs().max() < 2e-7
    assert tanh(torch.tensor([0.0, 1e4, -1e4, torch.inf, -torch.inf])).tolist() == [0.0, 1.0, -1.0, 1.0, -1.0]
    assert tanh(torch.tensor(torch.nan)).isnan()


def test_tanh_leaves_its_argument_alone():
    x = torch.tensor([0.5, -2.0])
    tanh(x)
    assert x.tolist() == [0.5, -2.0]


def test_gradients_are_those_of_finite_differences():
    g = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(shape, generator=g, dtype=torch.float64, requires_grad=True)

    assert torch.autograd.gradcheck(tanh, (draw(3, 4),))
    for features, units in ((2, 5), (5, 2), (3, 3)):
        assert torch.autograd.gradcheck(
            stacked_linear, (draw(3, 4, features), draw(3, units, features), draw(3, units))
        )


@pytest.mark.parametrize("shape", [(50, 7), (3, 11, 7), (7,)])
@pytest.mark.parametrize("units", [64, 2])
def test_linear_is_that_of_torch(shape, units):
    ours, theirs = Linear(7, units), nn.Linear(7, units)
    ours.load_state_dict(theirs.state_dict())
    g = torch.Generator().manual_seed(1)
    rows = torch.randn(shape, generator=g)
    seen = [rows.clone().requires_grad_(), rows.clone().requires_grad_()]
    for layer, x in zip((ours, theirs), seen, strict=True):
        Tanh()(layer(x)).square().sum().backward()
    assert torch.allclose(ours(rows), theirs(rows), atol=1e-6)
    assert torch.allclose(seen[0].grad, seen[1].grad, atol=1e-5)
    assert torch.allclose(ours.weight.grad, theirs.weight.grad, atol=1e-4)
    assert torch.allclose(ours.bias.grad, theirs.bias.grad, atol=1e-4)


def test_stacked_layers_are_layers_side_by_side():
    g = torch.Generator().manual_seed(2)
    inputs, weights = torch.randn(4, 9, 7, generator=g), torch.randn(4, 3, 7, generator=g)
    biases = torch.randn(4, 3, generator=g)
    out = stacked_linear(inputs, weights, biases)
    for b in range(4):
        assert torch.allclose(out[b], nn.functional.linear(inputs[b], weights[b], biases[b]), atol=1e-6)


def test_inputs_need_no_gradient():
    weights, biases = torch.ones(2, 3, 4, requires_grad=True), torch.zeros(2, 3, requires_grad=True)
    stacked_linear(torch.ones(2, 5, 4), weights, biases).sum().backward()
    assert (weights.grad == 5.0).all()
    assert (biases.grad == 5.0).all()
