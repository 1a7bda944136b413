"""The language of cells: write one time step as equations, get a `Cell`."""

from gatewise.equations.cell import Cell, cell
from gatewise.equations.expression import Expr, Parameter, topological
from gatewise.equations.operations import (
    absolute,
    exp,
    expm1,
    log,
    log1p,
    maximum,
    minimum,
    relu,
    sigmoid,
    sqrt,
    tanh,
    where,
)
from gatewise.equations.tracing import DefinitionError

__all__ = [
    "Cell",
    "DefinitionError",
    "Expr",
    "Parameter",
    "absolute",
    "cell",
    "exp",
    "expm1",
    "log",
    "log1p",
    "maximum",
    "minimum",
    "relu",
    "sigmoid",
    "sqrt",
    "tanh",
    "topological",
    "where",
]
