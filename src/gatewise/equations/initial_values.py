"""Initial values of vectors that a cell's definition declares."""

import math
from collections.abc import Mapping
from typing import TypeAlias

from gatewise.equations.expression import Expr, Parameter
from gatewise.equations.tracing import parameter_kinds

InitialValues: TypeAlias = tuple[tuple[Parameter, float], ...]
"""Blocks of vectors with their initial values, in the order of the declaration."""


def initial_values(outputs: tuple[Expr, ...], declared: Mapping[str, float]) -> InitialValues:
    """The declared values by block.

    Args:
        outputs: those of the cell.
        declared: values by block, as ``b.f``, or by group, which stands for all its blocks.

    Raises:
        TypeError: for a value that is not a number.
        ValueError: for one that is not finite, a name that the cell does not have, or a matrix.
    """
    kinds = parameter_kinds(outputs)
    values: dict[Parameter, float] = {}
    for name, value in declared.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(f"initial: expected a number for {name}, got {value!r}")
        if not math.isfinite(value):
            raise ValueError(f"initial: expected a finite number for {name}, got {value}")
        named = [block for block in kinds if name in (str(block), block.group)]
        vectors = [str(block) for block, kind in kinds.items() if kind == "vector"]
        if not named:
            raise ValueError(
                f"initial: the cell has no parameter {name}; its vectors are {', '.join(vectors) or 'none'}"
            )
        for block in named:
            if kinds[block] != "vector":
                raise ValueError(f"initial: {block} is a matrix, which a scheme of gatewise.Init fills, not a vector")
            values[block] = float(value)
    return tuple(values.items())
