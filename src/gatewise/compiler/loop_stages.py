"""What the passes of both directions of time share: arrays, stages, the order of parameters."""

from collections.abc import Mapping, Sequence

from gatewise.compiler.cpp import (
    INPUT_PROJECTIONS,
    ROW_VALUES,
    SAVED_ROW_VALUES,
    Function,
    Slot,
    Storage,
    Tables,
)
from gatewise.compiler.plan import Plan
from gatewise.compiler.program import MASK, NARROW, EmitError, Product, Stage
from gatewise.equations.cell import Cell
from gatewise.equations.expression import Expr, Parameter, Width, topological


def is_narrow(cell: Cell, node: Expr) -> bool:
    """Whether a value has the width of a projection."""
    return cell.projected and node.width is Width.UNITS and cell.sizes.of(node) == "P"


def array_named(array: str, narrow: bool) -> str:
    """The name of an array of blocks of H units, or of P."""
    return array + NARROW if narrow else array


def mask_slots(cell: Cell, tables: Tables) -> dict[Expr, Slot]:
    """Where the masks are."""
    leaves = [Expr.make("mask", attr=mask) for mask in cell.masks]
    return {leaf: tables.slot(f"{MASK}{index}", 0, narrow=is_narrow(cell, leaf)) for index, leaf in enumerate(leaves)}


def stage_of(function: Function, products: list[Product], outputs: int, totals: range, narrow: bool) -> Stage:
    """A stage of these products and this function.

    Raises:
        EmitError: when it counts units of a projection.
    """
    if narrow and function.counts_units:
        raise EmitError("a value of the width of a projection reads a mean over units, which it has not stored")
    read = function.blocks_used.get(INPUT_PROJECTIONS)
    blocks = range(min(read), max(read) + 1) if read else range(0)
    whole_rows = not products and function.over_rows
    name = "" if function.empty else function.name
    return Stage(name, tuple(products), outputs, blocks, totals, whole_rows, narrow)


def saved_slots(tables: Tables, planned: Plan) -> dict[Expr, Slot]:
    """Where the values saved for backward are stored."""
    slots: dict[Expr, Slot] = {}
    for node in planned.backward.saved:
        narrow = is_narrow(planned.cell, node)
        array = SAVED_ROW_VALUES if node.width is Width.ROW else array_named("saved", narrow)
        slots[node] = tables.slot(array, narrow=narrow)
    return slots


def accumulate_sums(function: Function, tables: Tables, summed: Sequence[Expr], kept: dict[Expr, Slot]) -> range:
    """Add up sums over units; returns their blocks of the row values."""
    for node in summed:
        function.sum_over_units(node.args[0])
        kept[node] = tables.slot(ROW_VALUES)
    return range(kept[summed[0]].block, kept[summed[-1]].block + 1) if summed else range(0)


def is_cheap(node: Expr, storage: Mapping[Expr, Storage]) -> bool:
    """Whether a later stage computes a value again: of what is stored, and of values that a row has once."""
    return any(arg.width is Width.ROW for arg in node.args) and all(
        arg.width is not Width.UNITS or isinstance(storage.get(arg), Slot) for arg in node.args
    )


def block_of(product: Expr) -> Parameter:
    """The parameter block of a product."""
    block = product.args[0].attr
    assert isinstance(block, Parameter)
    return block


def is_divided(cell: Cell, product: Expr) -> bool:
    """Whether the matrix of a product is divided into heads."""
    return block_of(product).group in cell.heads


def first_block(node: Expr) -> Parameter:
    """The parameter block of the first product in an expression."""
    return next(block_of(part) for part in topological([node]) if part.op == "matmul")


def first_rank(cell: Cell, expression: Expr) -> tuple[int, int]:
    """The rank of the first parameter in an expression."""
    blocks = (part.attr for part in topological([expression]) if part.op == "parameter")
    return min((rank(cell, block) for block in blocks if isinstance(block, Parameter)), default=(0, 0))


def rank(cell: Cell, block: Parameter) -> tuple[int, int]:
    """The position of a block in the order of groups and gates."""
    return cell.groups.index(block.group), cell.gates_of(block.group).index(block.gate)
