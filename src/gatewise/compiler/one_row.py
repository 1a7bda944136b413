"""The prologue and the epilogue of a cell: expressions of parameters alone, and their gradients, as passes of one row.

The prologue computes what the loops read of parameters alone; the epilogue turns sums over steps and rows into the
gradients of what the prologue has used.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gatewise.compiler.cpp import Accumulator, Function, Place, Slot, Tables, values_read
from gatewise.compiler.schedule import stages
from gatewise.equations.cell import Cell
from gatewise.equations.expression import Expr, Parameter, topological

VECTORS, SUMS, RESULTS, SCRATCH = "vectors", "sums", "results", "between"
PARAMETER = "parameter "  # begins the name of the array of a group


@dataclass(frozen=True)
class RowProduct:
    """A product of one row with a parameter block, or with its transpose."""

    operand: Slot
    block: Parameter
    output: int
    transposed: bool


@dataclass(frozen=True)
class RowStage:
    """Products and the function that works on them; see `emit.Stage`."""

    function: str
    products: tuple[RowProduct, ...]


@dataclass(frozen=True)
class RowPass:
    """A pass of one row.

    Attributes:
        source: the functions, templates over the number type.
        stages: in order.
        arrays: by name, how many blocks of H units their row has.
    """

    source: str
    stages: tuple[RowStage, ...]
    arrays: dict[str, int]


class BlockGradient(NamedTuple):
    """The gradient of a block: a vector, or the outer product of two."""

    block: Parameter
    vectors: tuple[Slot, ...]


def prologue(cell: Cell, vectors: Sequence[Expr], prefix: str) -> RowPass:
    """What computes expressions of parameters alone, one block each of the array `VECTORS`."""
    tables, places = _tables(cell, vectors)
    results = {node: [Slot(VECTORS, at)] for at, node in enumerate(vectors)}
    tables.arrays[VECTORS] = len(vectors)
    return _pass(tables, f"{prefix}_prologue", places, results)


def epilogue(
    cell: Cell,
    vectors: Sequence[Expr],
    sums: Sequence[Expr],
    blocks: Iterable[tuple[Parameter, tuple[Expr, ...]]],
    prefix: str,
) -> tuple[RowPass, tuple[BlockGradient, ...]]:
    """What computes the gradients of parameters from sums over steps and rows.

    Arguments:
        cell: the cell.
        vectors: what the prologue has computed.
        sums: the leaves that stand for the sums, in their order.
        blocks: of each block the expressions that its gradient is made of: one, or the two sides of an outer product.
        prefix: begins the name of each function.
    """
    blocks = tuple(blocks)
    roots = [side for _, sides in blocks for side in sides]
    tables, places = _tables(cell, roots)
    places.update((node, tables.slot(VECTORS, at)) for at, node in enumerate(vectors))
    for at, leaf in enumerate(sums):
        places[leaf] = tables.slot(SUMS, at)
    results: dict[Expr, list[Slot]] = {}
    gradients: list[BlockGradient] = []
    for block, sides in blocks:
        slots: list[Slot] = []
        for side in sides:
            place = places.get(side)
            if len(sides) == 1 and isinstance(place, Slot) and place.array == SUMS:
                slots.append(place)
                continue
            if side not in results:
                results[side] = [tables.slot(RESULTS)]
            slots.append(results[side][0])
        gradients.append(BlockGradient(block, tuple(slots)))
    return _pass(tables, f"{prefix}_epilogue", places, results), tuple(gradients)


def _tables(cell: Cell, roots: Iterable[Expr]) -> tuple[Tables, dict[Expr, Place]]:
    tables = Tables(set())
    places: dict[Expr, Place] = {}
    for node in topological(roots):
        if isinstance(node.attr, Parameter) and cell.shape_of(node.attr.group) == "vector":
            places[node] = tables.slot(f"{PARAMETER}{node.attr.group}", _gate(cell, node.attr))
    return tables, places


def _gate(cell: Cell, block: Parameter) -> int:
    return cell.gates_of(block.group).index(block.gate)


def _pass(tables: Tables, name: str, places: dict[Expr, Place], results: dict[Expr, list[Slot]]) -> RowPass:
    staged = stages(results, set(places))
    operands = {product.args[1] for stage in staged for product in stage.products}
    last_reader: dict[Expr, int] = {}
    for at, stage in enumerate(staged):
        for node in stage.work:
            last_reader.update((value, at) for value in values_read(node))
    text = ""
    made: list[RowStage] = []
    for at, stage in enumerate(staged):
        products: list[RowProduct] = []
        for output, node in enumerate(stage.products):
            operand, block = places[node.args[1]], node.args[0].attr
            assert isinstance(operand, Slot)
            assert isinstance(block, Parameter)
            products.append(RowProduct(operand, block, output, node.op == "matmul_transposed"))
            places[node] = Accumulator(output, 1, 0)
        function = Function(tables, f"{name}_{at}", places)
        here = [*stage.products, *stage.work]
        if at == 0:
            # What no stage computes: leaves that are results, and constants that are multiplied.
            here += [node for node in (*results, *operands) if node in places or not node.args]
        kept: dict[Expr, Slot] = {}
        for node in dict.fromkeys(here):
            for slot in results.get(node, ()):
                function.store(node, slot)
            is_operand = node in operands and not isinstance(places.get(node), Slot)
            if is_operand or (node.args and last_reader.get(node, 0) > at):
                kept[node] = tables.slot(SCRATCH)
                function.store(node, kept[node])
        for node in stage.products:
            places.pop(node, None)
        places.update(kept)
        text += function.text()
        made.append(RowStage("" if function.empty else function.name, tuple(products)))
    return RowPass(text, tuple(made), tables.arrays)
