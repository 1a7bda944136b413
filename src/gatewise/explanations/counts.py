"""The number of parameters of a cell and the work of a step, as formulas in I, H and P and as numbers."""

from gatewise.compiler.plan import Plan
from gatewise.equations.cell import Cell
from gatewise.equations.expression import Parameter
from gatewise.equations.operations import OPERATIONS


def parameter_formula(cell: Cell, directions: int = 1) -> str:
    """The number of parameters of a layer as a formula.

    >>> from gatewise.cells import lookup
    >>> parameter_formula(lookup("peephole_lstm"))
    '4·H·(I + H + 1) + 3·H'
    """
    columns: dict[tuple[int, str], list[str]] = {}
    for group in cell.groups:
        blocks = len(cell.gates_of(group)), cell.sizes.rows[group]
        columns.setdefault(blocks, []).append(columns_formula(cell, group))
    ordered = sorted(columns.items(), key=lambda item: -item[0][0])
    return _times(directions, [_product(blocks, kinds, rows) for (blocks, rows), kinds in ordered])


def columns_formula(cell: Cell, group: str) -> str:
    """The columns of a group's matrices as a formula; 1 for vectors."""
    return "H/heads" if group in cell.heads else cell.sizes.columns.get(group, "1")


def parameter_count(cell: Cell, input_size: int, hidden_size: int, projection_size: int = 0, heads: int = 1) -> int:
    """The number of parameters of one layer in one direction."""
    total = 0
    for group in cell.groups:
        rows, *columns = cell.parameter_shape(group, input_size, hidden_size, projection_size, heads)
        total += rows * (columns[0] if columns else 1)
    return total


def multiply_add_formula(plan: Plan, directions: int = 1) -> str:
    """The multiply-adds of the matrix products of one step as a formula."""
    blocks: dict[tuple[str, str], int] = {}
    for node in (*plan.input_products, *plan.recurrent_products):
        block = node.args[0].attr
        assert isinstance(block, Parameter)
        shape = plan.cell.sizes.rows[block.group], columns_formula(plan.cell, block.group)
        blocks[shape] = blocks.get(shape, 0) + 1
    together: dict[tuple[int, str], list[str]] = {}
    for (rows, columns), count in blocks.items():
        together.setdefault((count, rows), []).append(columns)
    return _times(directions, [_product(count, kinds, rows) for (count, rows), kinds in together.items()])


def elementwise_work(plan: Plan) -> str:
    """The elementwise work of a step per unit, as text."""
    operations = plan.operations
    curves = sum(count for op, count in operations.items() if op in OPERATIONS and OPERATIONS[op].expensive)
    others = f"{sum(operations.values()) - curves} elementwise operations"
    return f"{curves} evaluations of sigmoid, tanh or the like and {others}" if curves else others


def _times(directions: int, terms: list[str]) -> str:
    total = " + ".join(terms)
    if directions == 1:
        return total
    return f"{directions}·({total})" if len(terms) > 1 else f"{directions}·{total}"


def _product(blocks: int, kinds: list[str], rows: str = "H") -> str:
    counted = {kind: kinds.count(kind) for kind in ("I", "H", "H/heads", "P", "1")}
    terms = [
        str(count) if kind == "1" else kind if count == 1 else f"{count}·{kind}"
        for kind, count in counted.items()
        if count
    ]
    factor = rows if blocks == 1 else f"{blocks}·{rows}"
    if terms == [rows]:
        return f"{factor}²"
    if terms == ["1"]:
        return factor
    return f"{factor}·({' + '.join(terms)})" if len(terms) > 1 else f"{factor}·{terms[0]}"
