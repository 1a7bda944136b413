"""The number of parameters of a cell and the work of a step, as formulas in I and H and as numbers."""

from gatewise.compiler.plan import Plan
from gatewise.equations.cell import Cell
from gatewise.equations.operations import OPERATIONS

_WIDTH = {"input": "I", "recurrent": "H", "vector": "1"}


def parameter_formula(cell: Cell, directions: int = 1) -> str:
    """The number of parameters of a layer as a formula.

    >>> from gatewise.cells import lookup
    >>> parameter_formula(lookup("peephole_lstm"))
    '4·H·(I + H + 1) + 3·H'
    """
    columns: dict[int, list[str]] = {}
    for group in cell.groups:
        columns.setdefault(len(cell.gates_of(group)), []).append(_WIDTH[cell.shape_of(group)])
    return _times(directions, [_product(blocks, kinds) for blocks, kinds in sorted(columns.items(), reverse=True)])


def parameter_count(cell: Cell, input_size: int, hidden_size: int) -> int:
    """The number of parameters of one layer in one direction."""
    total = 0
    for group in cell.groups:
        rows, *columns = cell.parameter_shape(group, input_size, hidden_size)
        total += rows * (columns[0] if columns else 1)
    return total


def multiply_add_formula(plan: Plan, directions: int = 1) -> str:
    """The multiply-adds of the matrix products of one step as a formula."""
    input_blocks, recurrent_blocks = len(plan.input_products), len(plan.recurrent_products)
    if input_blocks == recurrent_blocks:
        return _times(directions, [_product(input_blocks, ["I", "H"])])
    terms = ((input_blocks, "I"), (recurrent_blocks, "H"))
    return _times(directions, [_product(blocks, [kind]) for blocks, kind in terms if blocks])


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


def _product(blocks: int, kinds: list[str]) -> str:
    counted = {kind: kinds.count(kind) for kind in ("I", "H", "1")}
    terms = [
        str(count) if kind == "1" else kind if count == 1 else f"{count}·{kind}"
        for kind, count in counted.items()
        if count
    ]
    factor = "H" if blocks == 1 else f"{blocks}·H"
    if terms == ["H"]:
        return f"{factor}²"
    if terms == ["1"]:
        return factor
    return f"{factor}·({' + '.join(terms)})" if len(terms) > 1 else f"{factor}·{terms[0]}"
