"""A cell without some of its biases, as for ``bias=False`` and ``bias="single"``."""

from collections.abc import Collection
from dataclasses import replace

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


def with_single_bias(cell: Cell) -> Cell:
    """The cell without the blocks of ``d`` that are added to a block of ``b``, which do not change what it can compute.

    Args:
        cell: any cell; one without such blocks is returned unchanged.

    Returns:
        A cell of the same name, states and gate order, with its own equations. What remains of ``d`` is inside another
        operation than the sum, as in the candidate of ``gru_cudnn``.

    >>> from gatewise.cells import lookup
    >>> with_single_bias(lookup("lstm")).groups, with_single_bias(lookup("gru_cudnn")).gates_of("d")
    (('W', 'R', 'b'), ('n',))
    """
    if not all(group in cell.groups and cell.shape_of(group) == "vector" for group in BIASES):
        return cell
    first, second = BIASES
    repeated: set[Parameter] = set()
    needed: set[Parameter] = set()
    nodes = topological(cell.outputs)
    inside = {arg for node in nodes if node.op == "add" for arg in node.args if arg.op == "add"}
    outside = {arg for node in nodes if node.op != "add" for arg in node.args} | set(cell.outputs)
    for node in nodes:
        if node.op == "add" and node in inside and node not in outside:
            continue
        blocks = {term.attr for term in (_terms(node) if node.op == "add" else node.args) if term.op == "parameter"}
        has_first = node.op == "add" and any(isinstance(one, Parameter) and one.group == first for one in blocks)
        for block in blocks:
            if isinstance(block, Parameter) and block.group == second:
                (repeated if has_first else needed).add(block)
    dropped = repeated - needed
    return _drop(cell, dropped, _list([str(block) for block in dropped])) if dropped else cell


def _terms(node: Expr) -> list[Expr]:
    """The terms of a sum."""
    return [term for arg in node.args for term in (_terms(arg) if arg.op == "add" else [arg])]


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
    return _drop(cell, dropped, _list(groups))


def _drop(cell: Cell, dropped: Collection[Parameter], named: str) -> Cell:
    """The cell with some vectors set to zero; see `drop_groups`."""
    outputs = _without(cell, dropped)
    kept = parameter_kinds(outputs)
    for block in parameter_kinds(cell.outputs):
        if block not in dropped and block not in kept:
            raise ValueError(
                f"cell {cell.name}: without {named} the parameter {block} has no effect, so {named} "
                "is more than a bias there; give it another name than b or d, or keep bias=True"
            )
    gates, groups = {block.gate for block in kept}, {block.group for block in kept}
    return replace(
        cell,
        groups=tuple(group for group in cell.groups if group in groups),
        gates=tuple(gate for gate in cell.gates if gate in gates),
        outputs=outputs,
        initial=tuple((block, value) for block, value in cell.initial if block in kept),
    )


def _without(cell: Cell, dropped: Collection[Parameter]) -> tuple[Expr, ...]:
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
