"""The table of operations, the only definition of each."""

from typing import Final

from gatewise.equations.expression import Expr
from gatewise.equations.operations.arithmetic import ARITHMETIC
from gatewise.equations.operations.functions import FUNCTIONS
from gatewise.equations.operations.operation import Operation

OPERATIONS: Final[dict[str, Operation]] = {operation.name: operation for operation in (*ARITHMETIC, *FUNCTIONS)}


def activation(node: Expr) -> Operation | None:
    """The operation of a node that is a function of one value; None for any other node."""
    operation = OPERATIONS.get(node.op)
    return operation if operation is not None and operation.activation else None
