"""The prologue and epilogue of a cell, on one row: expressions of parameters only, and their gradients.

The prologue computes the loop-invariant expressions; the epilogue turns reductions over steps and rows into gradients
of the parameters in them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gatewise.compiler.cpp import Accumulator, Function, Slot, Storage, Tables, values_read
from gatewise.compiler.schedule import stages
from gatewise.equations.cell import Cell
from gatewise.equations.expression import Expr, Parameter, topological

VECTORS, REDUCTIONS, RESULTS, SCRATCH = "vectors", "sums", "results", "between"
PARAMETER = "parameter "  # prefix of the array name of a group


@dataclass(frozen=True)
class ParameterProduct:
    """A product of one row with a parameter block, or with its transpose."""

    operand: Slot
    block: Parameter
    output: int
    transposed: bool


@dataclass(frozen=True)
class ParameterStage:
    """Products and the function that reads them; see `emit.Stage`."""

    function: str
    products: tuple[ParameterProduct, ...]


@dataclass(frozen=True)
class ParameterPass:
    """A pass of one row.

    Attributes:
        source: the functions, templates over the number type.
        stages: in order of execution.
        arrays: number of blocks of H units in the row of each array, by name.
    """

    source: str
    stages: tuple[ParameterStage, ...]
    arrays: dict[str, int]


class BlockGradient(NamedTuple):
    """The gradient of a block: a vector, or the outer product of two."""

    block: Parameter
    vectors: tuple[Slot, ...]


def prologue(cell: Cell, vectors: Sequence[Expr], prefix: str) -> ParameterPass:
    """The pass that computes expressions of parameters only, one block each of the array `VECTORS`."""
    tables, storage = _tables(cell, vectors)
    results = {node: [Slot(VECTORS, index)] for index, node in enumerate(vectors)}
    tables.arrays[VECTORS] = len(vectors)
    return _pass(tables, f"{prefix}_prologue", storage, results)


def epilogue(
    cell: Cell,
    vectors: Sequence[Expr],
    reductions: Sequence[Expr],
    blocks: Iterable[tuple[Parameter, tuple[Expr, ...]]],
    prefix: str,
) -> tuple[ParameterPass, tuple[BlockGradient, ...]]:
    """The pass that computes the gradients of parameters from reductions over steps and rows.

    Args:
        cell: the cell.
        vectors: the expressions computed by the prologue.
        reductions: the leaves that represent the reductions, in order.
        blocks: for each parameter block its gradient: one expression, or the two factors of an outer product.
        prefix: prefix of the function names.
    """
    blocks = tuple(blocks)
    roots = [side for _, sides in blocks for side in sides]
    tables, storage = _tables(cell, roots)
    storage.update((node, tables.slot(VECTORS, index)) for index, node in enumerate(vectors))
    for index, leaf in enumerate(reductions):
        storage[leaf] = tables.slot(REDUCTIONS, index)
    results: dict[Expr, list[Slot]] = {}
    gradients: list[BlockGradient] = []
    for block, sides in blocks:
        slots: list[Slot] = []
        for side in sides:
            source = storage.get(side)
            if len(sides) == 1 and isinstance(source, Slot) and source.array == REDUCTIONS:
                slots.append(source)
                continue
            if side not in results:
                results[side] = [tables.slot(RESULTS)]
            slots.append(results[side][0])
        gradients.append(BlockGradient(block, tuple(slots)))
    return _pass(tables, f"{prefix}_epilogue", storage, results), tuple(gradients)


def _tables(cell: Cell, roots: Iterable[Expr]) -> tuple[Tables, dict[Expr, Storage]]:
    tables = Tables(set())
    storage: dict[Expr, Storage] = {}
    for node in topological(roots):
        if isinstance(node.attr, Parameter) and cell.shape_of(node.attr.group) == "vector":
            storage[node] = tables.slot(f"{PARAMETER}{node.attr.group}", _gate(cell, node.attr))
    return tables, storage


def _gate(cell: Cell, block: Parameter) -> int:
    return cell.gates_of(block.group).index(block.gate)


def _pass(tables: Tables, name: str, storage: dict[Expr, Storage], results: dict[Expr, list[Slot]]) -> ParameterPass:
    staged = stages(results, set(storage))
    operands = {product.args[1] for stage in staged for product in stage.products}
    last_reader: dict[Expr, int] = {}
    for stage_index, stage in enumerate(staged):
        for node in stage.work:
            last_reader.update((value, stage_index) for value in values_read(node))
    text = ""
    made: list[ParameterStage] = []
    for stage_index, stage in enumerate(staged):
        products: list[ParameterProduct] = []
        for output, node in enumerate(stage.products):
            operand, block = storage[node.args[1]], node.args[0].attr
            assert isinstance(operand, Slot)
            assert isinstance(block, Parameter)
            products.append(ParameterProduct(operand, block, output, node.op == "matmul_transposed"))
            storage[node] = Accumulator(output, 1, 0)
        function = Function(tables, f"{name}_{stage_index}", storage)
        here = [*stage.products, *stage.work]
        if stage_index == 0:
            # Not computed by any stage: leaves that are results, and constants that are multiplied.
            here += [node for node in (*results, *operands) if node in storage or not node.args]
        kept: dict[Expr, Slot] = {}
        for node in dict.fromkeys(here):
            for slot in results.get(node, ()):
                function.store(node, slot)
            is_operand = node in operands and not isinstance(storage.get(node), Slot)
            if is_operand or (node.args and last_reader.get(node, 0) > stage_index):
                kept[node] = tables.slot(SCRATCH)
                function.store(node, kept[node])
        for node in stage.products:
            storage.pop(node, None)
        storage.update(kept)
        text += function.text()
        made.append(ParameterStage("" if function.empty else function.name, tuple(products)))
    return ParameterPass(text, tuple(made), tables.arrays)
