"""Single steps take the place of torch.nn's cells."""

from itertools import product

import pytest
import torch
from torch import nn

import gatewise

KINDS = [("RNNCell", {}), ("RNNCell", {"nonlinearity": "relu"}), ("LSTMCell", {}), ("GRUCell", {})]


@pytest.mark.parametrize(("kind", "bias"), list(product(range(4), (True, False))))
def test_steps_equal_those_of_torch(kind: int, bias: bool):
    name, options = KINDS[kind]
    torch.manual_seed(3)
    of_torch = getattr(nn, name)(3, 4, bias, **options)
    torch.manual_seed(3)
    ours = getattr(gatewise, name)(3, 4, bias, **options)
    assert all(torch.equal(ours.state_dict()[key], weight) for key, weight in of_torch.state_dict().items())
    of_torch.load_state_dict(ours.state_dict())
    for shape in ((2, 3), (3,)):
        one = other = None
        for x in torch.randn(3, *shape):
            one, other = of_torch(x, one), ours(x, other)
            assert type(one) is type(other)
            torch.testing.assert_close(other, one)
            with torch.no_grad():
                torch.testing.assert_close(ours(x, other), of_torch(x, one))


def test_gradients_equal_those_of_torch():
    of_torch = nn.LSTMCell(3, 4)
    ours = gatewise.from_torch(of_torch)
    gradients = []
    for cell in (of_torch, ours):
        h, c = cell(torch.ones(2, 3), cell(torch.ones(2, 3)))
        gradients.append(torch.autograd.grad((h * c).sum(), [*of_torch.parameters()]))
    torch.testing.assert_close(gradients[1], gradients[0])


def test_rows_are_reset_and_mistakes_reported():
    cell = gatewise.GRUCell(3, 4, variant="cho2014")
    x, h = torch.randn(2, 3), torch.randn(2, 4)
    both = cell(x, h, reset=torch.tensor([True, False]))
    torch.testing.assert_close(both[0], cell(x)[0])
    torch.testing.assert_close(both[1], cell(x, h)[1])
    with pytest.raises(ValueError, match=r"x_t: expected a tensor of shape \(B, I\) or \(I,\), got \(5, 2, 3\)"):
        cell(torch.randn(5, 2, 3))
    with pytest.raises((TypeError, ValueError), match="hx"):
        gatewise.LSTMCell(3, 4)(x, h)
