"""ONNX's activation functions: values and derivatives are those of torch's functions."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from gatewise.interchange.onnx.activations import FUNCTIONS, Activation, parse
from gatewise.interchange.onnx.templates import Equations
from gatewise.layers import Recurrent

EXPECTED: dict[str, Callable[[Tensor], Tensor]] = {
    "Relu": torch.relu,
    "Tanh": torch.tanh,
    "Sigmoid": torch.sigmoid,
    "Affine": lambda a: 0.3 * a + 0.7,
    "LeakyRelu": lambda a: functional.leaky_relu(a, 0.3),
    "ThresholdedRelu": lambda a: functional.threshold(a, 0.3, 0.0),
    "ScaledTanh": lambda a: 0.3 * torch.tanh(0.7 * a),
    "HardSigmoid": lambda a: torch.clamp(0.3 * a + 0.7, 0, 1),
    "Elu": lambda a: functional.elu(a, 1.0),
    "Softsign": functional.softsign,
    "Softplus": functional.softplus,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_and_derivatives(name: str) -> None:
    takes = FUNCTIONS[name].takes
    alpha, beta = (
        {"Elu": 1.0}.get(name, value) if parameter in takes else None
        for parameter, value in (("alpha", 0.3), ("beta", 0.7))
    )
    cell = Equations("RNN", (Activation(name, alpha, beta),), bias=False).cell()
    layer = Recurrent(cell, 1, 1, bias=False, backend="reference", dtype=torch.float64)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.fill_(1)
    # 0 is where several have two branches; at ±800 exp overflows.
    x = torch.tensor([-800, -3, -1, -0.25, 0, 0.3, 0.31, 1.25, 3, 800], dtype=torch.float64)
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    output = layer(ours.reshape(1, -1, 1))[0].reshape(-1)
    expected = EXPECTED[name](theirs)
    torch.testing.assert_close(output, expected)
    output.sum().backward()
    expected.sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_each_takes_the_next_value_it_needs() -> None:
    found = parse(["Tanh", "LeakyRelu", "Affine", "HardSigmoid"], [0.3, 0.4], [0.5])
    assert [str(one) for one in found] == [
        "Tanh",
        "LeakyRelu(alpha=0.3)",
        "Affine(alpha=0.4, beta=0.5)",
        "HardSigmoid(alpha=0.2, beta=0.5)",
    ]


@pytest.mark.parametrize(
    ("names", "alphas", "message"),
    [
        (["Swish"], [], "activations: 'Swish' is not one of ONNX's: Relu, "),
        (["Affine"], [], "activation_alpha: Affine has no default alpha"),
        (["ScaledTanh"], [1.0], "activation_beta: ScaledTanh has no default beta"),
        (["Elu"], [float("nan")], "activation_alpha: expected a finite number for Elu, got nan"),
    ],
)
def test_rejected(names: list[str], alphas: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse(names, alphas, [])
