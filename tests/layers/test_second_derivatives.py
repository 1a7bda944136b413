"""Derivatives of derivatives of a whole layer, on whatever backend runs it."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd.functional import hvp
from torch.func import functional_call

import gatewise
from tests.agreement import CELLS

OPTIONS: list[dict[str, Any]] = [{}, {"num_layers": 2, "bidirectional": True, "merge": "learned"}]


def loss_of(layer: gatewise.Recurrent, **arguments: Any) -> Callable[..., Tensor]:
    """A loss as a function of the input and of each parameter."""
    names = [name for name, _ in layer.named_parameters()]

    def loss(x: Tensor, *parameters: Tensor) -> Tensor:
        output, state = functional_call(layer, dict(zip(names, parameters, strict=True)), (x,), arguments)
        states = state if isinstance(state, tuple) else (state,)
        return output.square().sum() + sum(value.square().sum() for value in states)

    return loss


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("cell", CELLS)
def test_hessian_vector_products(cell: str, options: dict[str, Any]):
    """Beside differences of gradients, which the backends compute."""
    torch.manual_seed(0)
    layer = gatewise.Recurrent(CELLS[cell], 3, 4, **options, dtype=torch.float64)
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    loss = loss_of(layer, lengths=[5, 3], reset=torch.rand(5, 2) < 0.2)
    point = (x, *(parameter.detach() for parameter in layer.parameters()))
    direction = tuple(torch.randn_like(tensor) for tensor in point)
    _, actual = hvp(loss, point, direction)
    step = 1e-6
    ends = []
    for sign in (1, -1):
        moved = tuple(
            (tensor + sign * step * along).requires_grad_() for tensor, along in zip(point, direction, strict=True)
        )
        ends.append(torch.autograd.grad(loss(*moved), moved))
    expected = [(after - before) / (2 * step) for after, before in zip(*ends, strict=True)]
    scale = max(value.abs().max().item() for value in expected)
    for value, wanted in zip(actual, expected, strict=True):
        assert (value - wanted).abs().max().item() < 1e-5 * scale


def test_a_penalty_on_the_gradient_is_trained():
    """The use that most have for a second derivative."""
    torch.manual_seed(0)
    layer = gatewise.LSTM(3, 4, num_layers=2)
    x = torch.randn(5, 2, 3)
    optimiser = torch.optim.SGD(layer.parameters(), lr=0.1)
    penalties = []
    for _ in range(20):
        given = x.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(layer(given)[0].sum(), given, create_graph=True)
        penalty = gradient.square().sum()
        optimiser.zero_grad()
        penalty.backward()
        optimiser.step()
        penalties.append(penalty.item())
    assert penalties[-1] < 0.9 * penalties[0]
