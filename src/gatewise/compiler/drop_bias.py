"""A cell without some of its parameter groups, as for ``bias=False``."""

from collections.abc import Collection

from gatewise.compiler.simplify import build, number
from gatewise.equations.cell import Cell
from gatewise.equations.expression import Expr, Parameter, constant, topological
from gatewise.equations.tracing import parameter_kinds

BIASES = ("b", "d")


def without_bias(cell: Cell) -> Cell:
    """The cell without its biases, the vector groups ``b`` and ``d``.

    Args:
        cell: any cell; one that has neither group is returned unchanged.

    Returns:
        A cell of the same name, states and gate order, with its own equations.

    Raises:
        ValueError: when a group ``b`` or ``d`` is not a vector, or is more than a bias (see `drop_groups`).

    >>> from gatewise.cells import lookup
    >>> without_bias(lookup("lstm")).groups
    ('W', 'R')
    """
    return drop_groups(cell, [group for group in cell.groups if group in BIASES])


def drop_groups(cell: Cell, groups: Collection[str]) -> Cell:
    """The cell with vector groups set to zero and vanishing terms removed.

    Args:
        cell: any cell.
        groups: names of vector groups of the cell.

    Returns:
        A cell of the same name and states. Gates keep their order; a gate without other parameters is removed.

    Raises:
        ValueError: for an unknown group, a group that is not a vector, or when another parameter would become unused
            or a value non-finite (so the group is more than a bias).
    """
    if not groups:
        return cell
    for group in groups:
        if group not in cell.groups:
            raise ValueError(f"cell {cell.name} has no parameter group {group!r}; it has {', '.join(cell.groups)}")
        if cell.shape_of(group) != "vector":
            raise ValueError(
                f"cell {cell.name}: group {group} is a matrix, so it cannot be dropped as a bias; give the matrix "
                "another name than b or d, or keep bias=True"
            )
    dropped = {block for block in parameter_kinds(cell.outputs) if block.group in groups}
    outputs = _without(cell, dropped)
    kept = parameter_kinds(outputs)
    for block in parameter_kinds(cell.outputs):
        if block not in dropped and block not in kept:
            raise ValueError(
                f"cell {cell.name}: without {_list(groups)} the parameter {block} has no effect, so {_list(groups)} "
                "is more than a bias there; give it another name than b or d, or keep bias=True"
            )
    gates = {block.gate for block in kept}
    return Cell(
        cell.name,
        cell.cite,
        cell.doc,
        cell.states,
        tuple(group for group in cell.groups if group not in groups),
        tuple(gate for gate in cell.gates if gate in gates),
        outputs,
    )


def _without(cell: Cell, dropped: set[Parameter]) -> tuple[Expr, ...]:
    known: dict[Expr, Expr] = {}
    for node in topological(cell.outputs):
        args = tuple(known[arg] for arg in node.args)
        if node.op == "parameter" and node.attr in dropped:
            known[node] = constant(0)
        elif all(new is old for new, old in zip(args, node.args, strict=True)):
            known[node] = node
        else:
            known[node] = build(node.op, *args)
            _check(cell, known[node])
    return tuple(known[output] for output in cell.outputs)


def _check(cell: Cell, node: Expr) -> None:
    """Raise for nodes without a finite value, or without a shape, once the groups are zero."""
    divided = node.op == "div" and number(node.args[1]) == 0
    logarithm = node.op == "log" and number(node.args[0]) == 0
    width = node.op == "matmul" and number(node.args[1]) is not None
    if divided or logarithm or width:
        why = "divides by" if divided else "takes the logarithm of" if logarithm else "multiplies a matrix by"
        raise ValueError(
            f"cell {cell.name} {why} a constant when its biases are zero, so it needs them; give the group another "
            "name than b or d, or keep bias=True"
        )


def _list(groups: Collection[str]) -> str:
    return " and ".join(groups)
