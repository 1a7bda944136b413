"""The activation functions of ONNX's recurrent operators, in terms of the operations of our equations.

Where the specification and ONNX Runtime differ, these are ONNX Runtime's: ThresholdedRelu(x) is 0 at x = alpha, and its
alpha is 0 where none is given.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from gatewise.equations import Expr, absolute, exp, expm1, log1p, maximum, minimum, relu, sigmoid, tanh, where


@dataclass(frozen=True)
class Function:
    """An activation function of ONNX.

    Attributes:
        expression: its value for an expression, alpha and beta.
        takes: which of ``alpha`` and ``beta`` it has.
        defaults: their values where none is given; one without a default must be given.
    """

    expression: Callable[[Expr, float, float], Expr]
    takes: tuple[str, ...] = ()
    defaults: tuple[float, ...] = ()


def _affine(a: Expr, alpha: float, beta: float) -> Expr:
    scaled = a if alpha == 1 else alpha * a
    return scaled if beta == 0 else scaled + beta


def _elu(a: Expr, alpha: float, beta: float) -> Expr:
    # Where a > 0 the exponential is not needed and could overflow, which would make its gradient NaN.
    return where(a > 0, a, alpha * expm1(where(a > 0, 0, a)))


FUNCTIONS: Final = {
    "Relu": Function(lambda a, alpha, beta: relu(a)),
    "Tanh": Function(lambda a, alpha, beta: tanh(a)),
    "Sigmoid": Function(lambda a, alpha, beta: sigmoid(a)),
    "Affine": Function(_affine, ("beta", "alpha"), (0.0,)),
    "LeakyRelu": Function(lambda a, alpha, beta: where(a > 0, a, alpha * a), ("alpha",), (0.01,)),
    "ThresholdedRelu": Function(lambda a, alpha, beta: where(a > alpha, a, 0), ("alpha",), (0.0,)),
    "ScaledTanh": Function(lambda a, alpha, beta: alpha * tanh(beta * a), ("alpha", "beta")),
    "HardSigmoid": Function(
        lambda a, alpha, beta: minimum(maximum(_affine(a, alpha, beta), 0), 1), ("alpha", "beta"), (0.2, 0.5)
    ),
    "Elu": Function(_elu, ("alpha",), (1.0,)),
    "Softsign": Function(lambda a, alpha, beta: a / (1 + absolute(a))),
    "Softplus": Function(lambda a, alpha, beta: maximum(a, 0) + log1p(exp(-absolute(a)))),
}
_BY_LOWER_CASE = {name.lower(): name for name in FUNCTIONS}


@dataclass(frozen=True)
class Activation:
    """An activation function with its parameters; None for those that it does not have."""

    name: str
    alpha: float | None = None
    beta: float | None = None

    def __call__(self, a: Expr) -> Expr:
        """The activation of an expression."""
        return FUNCTIONS[self.name].expression(a, self.alpha or 0.0, self.beta or 0.0)

    @property
    def constant(self) -> float | None:
        """Its value if it is the same for every operand, else None."""
        if self.name == "Affine" and self.alpha == 0:
            return self.beta
        if self.name == "HardSigmoid" and self.alpha == 0:
            return min(max(self.beta or 0.0, 0.0), 1.0)
        return 0.0 if self.name == "ScaledTanh" and 0 in (self.alpha, self.beta) else None

    @property
    def plain(self) -> bool:
        """Whether its parameters are the default ones, so that its name identifies it."""
        return self == default(self.name)

    def __str__(self) -> str:
        values = {"alpha": self.alpha, "beta": self.beta}
        given = ", ".join(f"{name}={value:g}" for name, value in values.items() if value is not None)
        return f"{self.name}({given})" if given else self.name


def default(name: str) -> Activation | None:
    """The activation with its default parameters; None where it has no defaults."""
    function = FUNCTIONS[name]
    if len(function.defaults) < len(function.takes):
        return None
    return Activation(name, **dict(zip(function.takes, function.defaults, strict=True)))


def parse(names: Sequence[str], alphas: Sequence[float], betas: Sequence[float]) -> tuple[Activation, ...]:
    """The activations that a node lists.

    Each takes the next alpha and the next beta if it has such a parameter, and the default where there are no more.

    Raises:
        ValueError: for an unknown name, a value that is not finite, or a missing value without a default.

    >>> parse(["Tanh", "LeakyRelu", "hardsigmoid"], [0.3], [])
    (Activation(name='Tanh', alpha=None, beta=None), Activation(name='LeakyRelu', alpha=0.3, beta=None), \
Activation(name='HardSigmoid', alpha=0.2, beta=0.5))
    """
    following = {"alpha": iter(alphas), "beta": iter(betas)}
    return tuple(_parsed(name, following) for name in names)


def _parsed(given: str, following: dict[str, Iterator[float]]) -> Activation:
    name = _BY_LOWER_CASE.get(given.lower())
    if name is None:
        raise ValueError(f"activations: {given!r:.60} is not one of ONNX's: {', '.join(FUNCTIONS)}")
    function = FUNCTIONS[name]
    found: dict[str, float] = {}
    for index, parameter in enumerate(function.takes):
        default_value = function.defaults[index] if index < len(function.defaults) else None
        value = next(following[parameter], default_value)
        if value is None:
            raise ValueError(f"activation_{parameter}: {name} has no default {parameter}; none is given")
        if not math.isfinite(value):
            raise ValueError(f"activation_{parameter}: expected a finite number for {name}, got {value}")
        found[parameter] = value
    return Activation(name, **found)
