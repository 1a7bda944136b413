"""How many parameters a cell has and how much work a step is, as a formula in I and H and as a number."""

from gatewise.compiler.plan import TRANSCENDENTAL, Plan, plan
from gatewise.equations.cell import Cell

_WIDTH = {"input": "I", "recurrent": "H", "vector": "1"}


def parameter_formula(cell: Cell) -> str:
    """The number of parameters as a formula.

    >>> from gatewise.cells import lookup
    >>> parameter_formula(lookup("peephole_lstm"))
    '4·H·(I + H + 1) + 3·H'
    """
    columns: dict[int, list[str]] = {}
    for group in cell.groups:
        columns.setdefault(len(cell.gates_of(group)), []).append(_WIDTH[cell.shape_of(group)])
    return " + ".join(_product(blocks, kinds) for blocks, kinds in sorted(columns.items(), reverse=True))


def parameter_count(cell: Cell, input_size: int, hidden_size: int) -> int:
    """The number of parameters of one layer in one direction."""
    total = 0
    for group in cell.groups:
        rows, *columns = cell.parameter_shape(group, input_size, hidden_size)
        total += rows * (columns[0] if columns else 1)
    return total


def multiply_add_formula(made: Plan) -> str:
    """The multiply-adds of the matrix products of one step as a formula."""
    of_x, of_h = len(made.input_products), len(made.recurrent_products)
    if of_x == of_h:
        return _product(of_x, ["I", "H"])
    return " + ".join(_product(blocks, [kind]) for blocks, kind in ((of_x, "I"), (of_h, "H")) if blocks)


def elementwise_work(cell: Cell) -> str:
    """What a step computes per unit beside the products, in words."""
    operations = plan(cell).operations
    curves = sum(count for op, count in operations.items() if op in TRANSCENDENTAL)
    others = sum(operations.values()) - curves
    noun = "value" if curves == 1 else "values"
    return f"{curves} {noun} of sigmoid, tanh and the like, {others} other elementwise operations"


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
