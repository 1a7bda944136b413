"""A cell's equations in operations that ONNX has operators for."""

from functools import lru_cache

from gatewise.equations import Cell, Expr, topological
from gatewise.equations.expression import LEAVES
from gatewise.equations.operations import OPERATIONS
from gatewise.equations.operations.operation import MissingImplementation


@lru_cache(maxsize=256)
def spelled(cell: Cell) -> tuple[Expr, ...]:
    """The outputs of a cell; operations that are defined for ONNX by other operations are replaced by those.

    Raises:
        MissingImplementation: naming the operation that ONNX has no equivalent of.

    >>> from gatewise.cells import lookup
    >>> spelled(lookup("lstm")) == lookup("lstm").outputs
    True
    """
    known: dict[Expr, Expr] = {}

    def replaced(root: Expr) -> Expr:
        for node in topological([root]):
            if node not in known:
                known[node] = one(node, *(known[arg] for arg in node.args))
        return known[root]

    def one(node: Expr, *args: Expr) -> Expr:
        if node.op in LEAVES:
            return node
        if node.op in ("matmul", "sum"):
            return Expr.make(node.op, *args)
        found = OPERATIONS[node.op].onnx if node.op in OPERATIONS else None
        if found is None:
            raise MissingImplementation(f"operation {node.op} has no ONNX implementation")
        return Expr.make(node.op, *args) if isinstance(found, str) else replaced(found(*args))

    return tuple(replaced(output) for output in cell.outputs)
