"""The forward pass of a step as C++: the function of each stage, and what it reads and stores."""

from collections.abc import Iterator, Sequence

from gatewise.compiler.cpp import (
    INPUT_PROJECTIONS,
    Accumulator,
    Function,
    Slot,
    Storage,
    Tables,
    values_read,
)
from gatewise.compiler.loop_stages import (
    accumulate_sums,
    array_named,
    block_of,
    is_cheap,
    is_divided,
    is_narrow,
    mask_slots,
    rank,
    saved_slots,
    stage_of,
)
from gatewise.compiler.plan import Plan
from gatewise.compiler.program import MAX_PRODUCTS, Direction, Product
from gatewise.compiler.schedule import Stage as Scheduled
from gatewise.compiler.schedule import loop_invariants
from gatewise.equations.cell import Cell
from gatewise.equations.expression import Expr, Width


def forward_loop(planned: Plan, input_projections: tuple[Expr, ...], prefix: str) -> tuple[str, Direction]:
    """The functions of the forward pass, and its description; the input projections in the order of their array."""
    cell = planned.cell
    tables = Tables(loop_invariants(planned.outputs))
    storage: dict[Expr, Storage] = {node: tables.slot(INPUT_PROJECTIONS) for node in input_projections}
    narrow_states = [width == "P" for width in cell.widths]
    for state, narrow in zip(cell.states, narrow_states, strict=True):
        storage[Expr.make("state", attr=state)] = tables.slot(f"previous {state}", 0, narrow=narrow)
    storage.update(mask_slots(cell, tables))
    returned: dict[tuple[Expr, bool], list[Slot]] = {}
    for state, node, narrow in zip(cell.states, planned.outputs, narrow_states, strict=True):
        slot = tables.slot(f"next {state}", 0, narrow=narrow)
        returned.setdefault((node, narrow), []).append(slot)
    staged = _by_width(cell, planned.stages)
    saved = saved_slots(tables, planned)

    last_reader: dict[Expr, int] = {}
    operands: set[Expr] = set()
    for stage_index, (stage, _) in enumerate(staged):
        operands.update(product.args[1] for product in stage.products)
        for node in stage.work:
            last_reader.update((value, max(stage_index, last_reader.get(value, 0))) for value in values_read(node))
    made = {node for stage in planned.stages for node in (*stage.products, *stage.work)}

    text, stages = "", []
    sums_before: list[Expr] = []
    last = {narrow: index for index, (_, narrow) in enumerate(staged)}
    first = {narrow: index for index, (_, narrow) in reversed([*enumerate(staged)])}
    for stage_index, (stage, narrow) in enumerate(staged):
        products: list[Product] = []
        outputs = 0
        for operand, nodes in stage.operands.items():
            source = storage[operand]
            assert isinstance(source, Slot)
            for chunk in _together(cell, nodes):
                products.append(Product(source, tuple(map(block_of, chunk)), outputs, False))
                for index, node in enumerate(chunk):
                    storage[node] = Accumulator(outputs, len(chunk), index)
                outputs += len(chunk)
        function = Function(tables, f"{prefix}_forward_{stage_index}", storage)
        here = tuple(node for node in (*stage.products, *stage.work) if node.width is not Width.ROW)
        summed = [node for node in stage.work if node.op == "sum"]
        of_rows = [*sums_before, *(node for node in stage.work if node.width is Width.ROW and node.op != "sum")]
        kept: dict[Expr, Slot] = {}
        for node in here:
            function.value(node)
        for node in here:
            if node in saved:
                function.store(node, saved[node], optional=True)
            later = last_reader.get(node, 0) > stage_index and not is_cheap(node, storage)
            if node in operands or later:
                kept[node] = tables.slot(array_named("between", narrow), narrow=narrow)
                function.store(node, kept[node])
        row_totals = accumulate_sums(function, tables, summed, kept)
        for node in of_rows:
            if node in saved:
                function.store_row_value(node, saved[node])
        if stage_index == first[narrow]:
            for node in input_projections:
                if node in saved and is_narrow(cell, node) == narrow:
                    function.store(node, saved[node], optional=True)
        is_last = stage_index == last[narrow]
        for (node, of_narrow), slots in returned.items():
            here_or_never = node in {*here, *of_rows} or (is_last and node not in made)
            if narrow == of_narrow and here_or_never:
                for slot in slots:
                    function.store(node, slot)
        # Later stages read a value where it was stored; the accumulators are reused.
        for node in here:
            storage.pop(node, None)
        storage.update(kept)
        sums_before = sums_before if narrow else summed
        text += function.text()
        stages.append(stage_of(function, products, outputs, row_totals, narrow))
    return text, Direction(tuple(stages), tables.arrays, frozenset(tables.narrow), tuple(tables.vectors), {}, ())


def _together(cell: Cell, nodes: Sequence[Expr]) -> Iterator[list[Expr]]:
    """The products of one operand that are computed as one: whole matrices, or those divided into heads."""
    ordered = sorted(nodes, key=lambda node: rank(cell, block_of(node)))
    for divided in (False, True):
        alike = [node for node in ordered if is_divided(cell, node) == divided]
        yield from (alike[begin : begin + MAX_PRODUCTS] for begin in range(0, len(alike), MAX_PRODUCTS))


def _by_width(cell: Cell, staged: Sequence[Scheduled]) -> list[tuple[Scheduled, bool]]:
    """Stages of units of one width each, and whether it is that of a projection.

    Within a stage neither width depends on the other. The last stage has both, to store the states.
    """
    found: list[tuple[Scheduled, bool]] = []
    for index, stage in enumerate(staged):
        parts = {
            narrow: Scheduled(
                tuple(node for node in stage.products if is_narrow(cell, node) == narrow),
                tuple(node for node in stage.work if is_narrow(cell, node) == narrow),
            )
            for narrow in (False, True)
        }
        found.append((parts[False], False))
        if parts[True].products or parts[True].work or (cell.projected and index == len(staged) - 1):
            found.append((parts[True], True))
    return found
