"""The operations written with Python's operators."""

import operator
from collections.abc import Callable

from gatewise.equations.operations.operation import Notation, Operation


def _comparison(
    name: str, sign: str, holds: Callable[..., bool], notation: Notation, opposite: str, jax: str
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
        rounded=True,
    ),
    _comparison("lt", "<", operator.lt, Notation("<", "<"), "ge", "less"),
    _comparison("le", "<=", operator.le, Notation("≤", r"\leq"), "gt", "less_equal"),
    _comparison("gt", ">", operator.gt, Notation(">", ">"), "le", "greater"),
    _comparison("ge", ">=", operator.ge, Notation("≥", r"\geq"), "lt", "greater_equal"),
    _comparison("eq", "==", operator.eq, Notation("=", "="), "ne", "equal"),
    _comparison("ne", "!=", operator.ne, Notation("≠", r"\neq"), "eq", "not_equal"),
)
