"""The functions available in a cell's equations, all elementwise over units.

A new operation is a function and a row of the table here, and its C++ in ``csrc/activations.h``.
"""

import math

from gatewise.equations.expression import Expr, Operand, elementwise
from gatewise.equations.operations.operation import PRODUCT, Notation, Operation, Range

__all__ = [
    "absolute",
    "exp",
    "expm1",
    "log",
    "log1p",
    "log_sigmoid",
    "maximum",
    "minimum",
    "relu",
    "sigmoid",
    "sqrt",
    "tanh",
    "where",
]


def sigmoid(a: Operand) -> Expr:
    """Logistic sigmoid, 1 / (1 + exp(−a))."""
    return elementwise("sigmoid", a)


def tanh(a: Operand) -> Expr:
    """Hyperbolic tangent."""
    return elementwise("tanh", a)


def relu(a: Operand) -> Expr:
    """max(a, 0); its derivative at 0 is 0."""
    return elementwise("relu", a)


def exp(a: Operand) -> Expr:
    """Exponential."""
    return elementwise("exp", a)


def expm1(a: Operand) -> Expr:
    """exp(a) − 1, accurate near 0."""
    return elementwise("expm1", a)


def log(a: Operand) -> Expr:
    """Natural logarithm."""
    return elementwise("log", a)


def log1p(a: Operand) -> Expr:
    """log(1 + a), accurate near 0."""
    return elementwise("log1p", a)


def log_sigmoid(a: Operand) -> Expr:
    """Log σ(a) = min(a, 0) − log1p(exp(−|a|)), which neither overflows nor cancels."""
    return elementwise("log_sigmoid", a)


def sqrt(a: Operand) -> Expr:
    """Square root."""
    return elementwise("sqrt", a)


def absolute(a: Operand) -> Expr:
    """Absolute value (``abs(a)`` works too); its derivative at 0 is 0."""
    return elementwise("abs", a)


def minimum(a: Operand, b: Operand) -> Expr:
    """The smaller of two; where they are equal each gets half of the gradient."""
    return elementwise("minimum", a, b)


def maximum(a: Operand, b: Operand) -> Expr:
    """The larger of two; where they are equal each gets half of the gradient."""
    return elementwise("maximum", a, b)


def where(condition: Expr, a: Operand, b: Operand) -> Expr:
    """``a`` where the comparison holds, else ``b``; no gradient flows through the comparison.

    >>> from gatewise.equations import cell
    >>> @cell(cite="leaky ReLU")
    ... def leaky(x, h, /, W, R, b):
    ...     a = W @ x + R @ h + b
    ...     return where(a > 0, a, 0.01 * a)
    """
    return elementwise("where", condition, a, b)


def _subgradient(loses: Expr, tie: Expr, gradient: Expr) -> Expr:
    return where(loses, 0, where(tie, gradient * 0.5, gradient))


def _expm1(a: Expr) -> Expr:
    """exp(a) − 1 near 0, where that loses all digits, by tanh; exp(a) − 1 elsewhere."""
    half = tanh(a * 0.5)
    return where(absolute(a) < 1, 2 * half / (1 - half), exp(a) - 1)


def _log1p(a: Expr) -> Expr:
    """log(1 + a), near 0 with the rounding of 1 + a divided out (Goldberg 1991, doi:10.1145/103162.103163, th. 4)."""
    rounded = 1 + a
    near = where(rounded == 1, a, a * log(rounded) / (rounded - 1))
    return where(absolute(a) < 0.5, near, log(rounded))


FUNCTIONS = (
    Operation(
        "sigmoid",
        1,
        lambda a: 1 / (1 + math.exp(-a)),
        lambda gradient, value, a: (gradient * value * (1 - value),),
        Notation("σ", r"\sigma", squares=True),
        cpp="gatewise::sigmoid<T>({0})",
        torch="torch.sigmoid",
        jax="jax.nn.sigmoid",
        onnx="Sigmoid",
        expensive=True,
        range=Range(0, 1),
        unsaturated=lambda fraction: Range((1 - math.sqrt(1 - fraction)) / 2, (1 + math.sqrt(1 - fraction)) / 2),
    ),
    Operation(
        "tanh",
        1,
        math.tanh,
        lambda gradient, value, a: (gradient * (1 - value * value),),
        Notation("tanh", r"\tanh", squares=True),
        cpp="gatewise::tanh<T>({0})",
        torch="torch.tanh",
        jax="jax.numpy.tanh",
        onnx="Tanh",
        expensive=True,
        range=Range(-1, 1),
        unsaturated=lambda fraction: Range(-math.sqrt(1 - fraction), math.sqrt(1 - fraction)),
    ),
    Operation(
        "relu",
        1,
        lambda a: max(a, 0.0),
        lambda gradient, value, a: (where(value <= 0, 0, gradient),),
        Notation("ReLU", r"\operatorname{ReLU}"),
        cpp="gatewise::relu<T>({0})",
        torch="torch.relu",
        jax="jax.nn.relu",
        onnx="Relu",
        rounded=True,
        range=Range(low=0, closed=True),
        unsaturated=lambda fraction: Range(low=0),
    ),
    Operation(
        "exp",
        1,
        math.exp,
        lambda gradient, value, a: (gradient * value,),
        Notation("exp", r"\exp"),
        cpp="gatewise::exp<T>({0})",
        torch="torch.exp",
        jax="jax.numpy.exp",
        onnx="Exp",
        expensive=True,
        singular=0,
        range=Range(low=0),
    ),
    Operation(
        "expm1",
        1,
        math.expm1,
        lambda gradient, value, a: (gradient * (value + 1),),
        lambda a: exp(a) - 1,
        cpp="gatewise::expm1<T>({0})",
        torch="torch.expm1",
        jax="jax.numpy.expm1",
        onnx=_expm1,
        expensive=True,
        singular=0,
        range=Range(low=-1),
    ),
    Operation(
        "log",
        1,
        math.log,
        lambda gradient, value, a: (gradient / a,),
        Notation("ln", r"\ln"),
        cpp="gatewise::log<T>({0})",
        torch="torch.log",
        jax="jax.numpy.log",
        onnx="Log",
        expensive=True,
        singular=0,
    ),
    Operation(
        "log1p",
        1,
        math.log1p,
        lambda gradient, value, a: (gradient / (a + 1),),
        lambda a: log(1 + a),
        cpp="gatewise::log1p<T>({0})",
        torch="torch.log1p",
        jax="jax.numpy.log1p",
        onnx=_log1p,
        expensive=True,
        singular=0,
    ),
    Operation(
        "log_sigmoid",
        1,
        lambda a: min(a, 0.0) - math.log1p(math.exp(-abs(a))),
        lambda gradient, value, a: (gradient * sigmoid(-a),),
        lambda a: log(sigmoid(a)),
        cpp="gatewise::log_sigmoid<T>({0})",
        torch="torch.nn.functional.logsigmoid",
        jax="jax.nn.log_sigmoid",
        onnx=lambda a: minimum(a, 0) - log1p(exp(-absolute(a))),
        expensive=True,
        range=Range(high=0),
    ),
    Operation(
        "sqrt",
        1,
        math.sqrt,
        lambda gradient, value, a: (gradient / (2 * value),),
        Notation("√", r"\sqrt{{}}"),
        cpp="gatewise::sqrt<T>({0})",
        torch="torch.sqrt",
        jax="jax.numpy.sqrt",
        onnx="Sqrt",
        rounded=True,
        expensive=True,
        singular=0,
        range=Range(low=0, closed=True),
    ),
    Operation(
        "abs",
        1,
        math.fabs,
        lambda gradient, value, a: (where(a > 0, gradient, where(a < 0, -gradient, 0)),),
        Notation("|{}|", r"\left|{}\right|", binding=PRODUCT),
        cpp="gatewise::absolute<T>({0})",
        torch="torch.abs",
        jax="jax.numpy.abs",
        onnx="Abs",
        rounded=True,
        range=Range(low=0, closed=True),
    ),
    Operation(
        "minimum",
        2,
        min,
        lambda gradient, value, a, b: (_subgradient(a > b, a == b, gradient), _subgradient(b > a, a == b, gradient)),
        Notation("min", r"\min"),
        cpp="gatewise::minimum<T>({0}, {1})",
        torch="torch.minimum",
        jax="jax.numpy.minimum",
        onnx="Min",
        rounded=True,
    ),
    Operation(
        "maximum",
        2,
        max,
        lambda gradient, value, a, b: (_subgradient(a < b, a == b, gradient), _subgradient(b < a, a == b, gradient)),
        Notation("max", r"\max"),
        cpp="gatewise::maximum<T>({0}, {1})",
        torch="torch.maximum",
        jax="jax.numpy.maximum",
        onnx="Max",
        rounded=True,
    ),
    # The gradient of the branch not taken is selected as zero, not multiplied by zero, which would propagate NaN.
    Operation(
        "where",
        3,
        None,
        lambda gradient, value, condition, a, b: (None, where(condition, gradient, 0), where(condition, 0, gradient)),
        None,
        cpp="{0} ? {1} : {2}",
        torch="torch.where",
        jax="jax.numpy.where",
        onnx="Where",
    ),
)
