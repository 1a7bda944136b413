"""The language of cells: write one time step as equations, get a `Cell`."""

from gatewise.equations.cell import Cell, cell
from gatewise.equations.expression import Expr, Parameter, constant, topological
from gatewise.equations.masks import dropout, zoneout
from gatewise.equations.operations import functions, reductions
from gatewise.equations.operations.functions import *  # noqa: F403  (the functions available to a cell; listed there)
from gatewise.equations.operations.reductions import *  # noqa: F403  (listed there)
from gatewise.equations.tracing import DefinitionError

__all__ = ["Cell", "DefinitionError", "Expr", "Parameter", "cell", "constant", "dropout", "topological", "zoneout"]
__all__ += functions.__all__
__all__ += reductions.__all__
