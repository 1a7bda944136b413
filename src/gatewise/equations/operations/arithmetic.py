"""The operations written with Python's operators."""

import operator
from collections.abc import Callable

from gatewise.equations.operations.operation import Notation, Operation


def _comparison(
    name: str, sign: str, holds: Callable[..., bool], notation: Notation, opposite: str, jax: str, onnx: str
) -> Operation:
    return Operation(
        name,
        2,
        holds,
        None,
        notation,
        cpp=f"({{0}} {sign} {{1}})",
        torch=f"torch.{name}",
        jax=f"jax.numpy.{jax}",
        onnx=onnx,
        infix=sign,
        opposite=opposite,
    )


ARITHMETIC = (
    Operation(
        "add",
        2,
        operator.add,
        lambda gradient, value, a, b: (gradient, gradient),
        None,
        cpp="{0} + {1}",
        torch="torch.add",
        jax="jax.numpy.add",
        onnx="Add",
        infix="+",
        rounded=True,
    ),
    Operation(
        "sub",
        2,
        operator.sub,
        lambda gradient, value, a, b: (gradient, -gradient),
        None,
        cpp="{0} - {1}",
        torch="torch.sub",
        jax="jax.numpy.subtract",
        onnx="Sub",
        infix="-",
        rounded=True,
    ),
    Operation(
        "mul",
        2,
        operator.mul,
        lambda gradient, value, a, b: (gradient * b, gradient * a),
        None,
        cpp="{0} * {1}",
        torch="torch.mul",
        jax="jax.numpy.multiply",
        onnx="Mul",
        infix="*",
        rounded=True,
    ),
    Operation(
        "div",
        2,
        operator.truediv,
        lambda gradient, value, a, b: (gradient / b, -(gradient * value / b)),
        None,
        cpp="{0} / {1}",
        torch="torch.div",
        jax="jax.numpy.divide",
        onnx="Div",
        infix="/",
        rounded=True,
        singular=1,
    ),
    Operation(
        "neg",
        1,
        lambda a: -a,
        lambda gradient, value, a: (-gradient,),
        None,
        cpp="-{0}",
        torch="torch.neg",
        jax="jax.numpy.negative",
        onnx="Neg",
        rounded=True,
    ),
    _comparison("lt", "<", operator.lt, Notation("<", "<"), "ge", "less", "Less"),
    _comparison("le", "<=", operator.le, Notation("≤", r"\leq"), "gt", "less_equal", "LessOrEqual"),
    _comparison("gt", ">", operator.gt, Notation(">", ">"), "le", "greater", "Greater"),
    _comparison("ge", ">=", operator.ge, Notation("≥", r"\geq"), "lt", "greater_equal", "GreaterOrEqual"),
    _comparison("eq", "==", operator.eq, Notation("=", "="), "ne", "equal", "Equal"),
    _comparison("ne", "!=", operator.ne, Notation("≠", r"\neq"), "eq", "not_equal", "Equal Not"),
)
