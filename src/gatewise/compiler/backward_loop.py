"""The backward pass of a step as C++: the function of each stage, and what it reads and stores."""

from collections.abc import Iterable, Iterator

from gatewise.compiler.cpp import (
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
    first_rank,
    is_cheap,
    is_divided,
    is_narrow,
    mask_slots,
    rank,
    saved_slots,
    stage_of,
)
from gatewise.compiler.plan import Plan
from gatewise.compiler.program import STATE_GRADIENTS, Direction, Product
from gatewise.compiler.schedule import loop_invariants, needed
from gatewise.equations.cell import Cell
from gatewise.equations.expression import COMPARISONS, Expr, Width


def backward_loop(planned: Plan, prefix: str) -> tuple[str, Direction]:
    """The functions of the backward pass, and its description."""
    cell, backward = planned.cell, planned.backward
    operands = dict.fromkeys(outer.operand for outer in backward.outers if outer.operand.op != "input")
    # In the order of the parameters, so that the reductions of a group are adjacent.
    totals = dict(sorted(backward.reductions.items(), key=lambda total: first_rank(cell, total[0])))
    deltas = dict.fromkeys(outer.delta for outer in sorted(backward.outers, key=lambda outer: rank(cell, outer.block)))
    roots = (
        *backward.states.values(),
        *backward.total_gradients.values(),
        *backward.reductions.values(),
        *deltas,
        *operands,
    )
    tables = Tables(loop_invariants((*roots, *planned.outputs)))
    storage: dict[Expr, Storage] = {}
    narrow_state = dict(zip(cell.states, (width == "P" for width in cell.widths), strict=True))
    for state, narrow in narrow_state.items():
        storage[Expr.make("state", attr=state)] = tables.slot(f"previous {state}", 0, narrow=narrow)
    for state, node in zip(cell.states, planned.outputs, strict=True):
        slot = tables.slot(f"next {state}", 0, narrow=narrow_state[state])
        if node.args:
            storage.setdefault(node, slot)
    storage.update(mask_slots(cell, tables))
    tables.array("saved")
    storage.update(saved_slots(tables, planned))
    for position, (state, narrow) in enumerate(narrow_state.items()):
        incoming = tables.slot(f"arriving {state}", 0, narrow=narrow)
        reaches = (tables.slot("output gradient", 0, narrow=narrow), incoming) if position == 0 else incoming
        storage[Expr.make("gradient", attr=state)] = reaches
    sent = {state: tables.slot(f"sent {state}", 0, narrow=narrow) for state, narrow in narrow_state.items()}
    # Of one array, unless the states differ in width.
    observed = {
        state: tables.slot(f"{STATE_GRADIENTS}{f' {state}' * cell.projected}", narrow=narrow)
        for state, narrow in narrow_state.items()
    }

    def delta_slot(delta: Expr) -> Slot:
        narrow = is_narrow(cell, delta)
        return tables.slot(array_named("delta", narrow), narrow=narrow)

    delta_slots = {delta: delta_slot(delta) for delta in deltas}
    operand_slots = {
        operand: tables.slot(f"operand {position}", 0, narrow=is_narrow(cell, operand))
        for position, operand in enumerate(operands)
    }

    available = {*tables.loop_invariant, *storage}
    order = [node for node in needed(roots, available) if node not in tables.loop_invariant]
    for node in order:  # nearly always already there
        if node.op == "matmul_transposed" and node.args[1] not in delta_slots:
            delta_slots[node.args[1]] = delta_slot(node.args[1])
    fused = _FusedSums(order, available, set(roots))
    level = fused.levels()
    last = max(level.values(), default=0)
    last_reader: dict[Expr, int] = {}
    for node in level:
        if node not in available:
            for value in fused.read_by(node):
                last_reader[value] = max(level[node] - (node.op == "sum"), last_reader.get(value, 0))
    for node in backward.states.values():
        last_reader[node] = last

    text, stages = "", []
    for stage_index, narrow in [(index, narrow) for index in range(last + 1) for narrow in (False, True)]:
        here = [
            node
            for node in level
            if level[node] == stage_index
            and node not in available
            and node.width is not Width.ROW
            and is_narrow(cell, node) == narrow
        ]
        sends = stage_index == last and (not narrow or cell.projected)
        stores = {
            value
            for value in (*delta_slots, *operand_slots, *backward.total_gradients.values())
            if level.get(value, 0) == stage_index and is_narrow(cell, value) == narrow
        }
        if narrow and not (here or stores or sends):
            continue
        function = Function(tables, f"{prefix}_backward_{stage_index}{'_narrow' * narrow}", storage)
        products: list[Product] = []
        outputs = 0
        for node in here:
            if node not in fused.products:
                continue
            for index, run in enumerate(_runs(cell, fused.products[node], delta_slots)):
                slot = delta_slots[run[0].args[1]]
                products.append(Product(slot, tuple(map(block_of, run)), outputs, index > 0))
            function.sum(node, Accumulator(outputs, 1, 0), fused.rest[node])
            outputs += 1
        kept: dict[Expr, Slot] = {}
        for node in here:
            function.value(node)
        for node in here:
            if node in delta_slots:
                function.store(node, delta_slots[node])
                kept[node] = delta_slots[node]
            elif last_reader.get(node, 0) > stage_index and not is_cheap(node, storage):
                kept[node] = tables.slot(array_named("between", narrow), narrow=narrow)
                function.store(node, kept[node])
        summed = [] if narrow else [node for node in fused.sums_over_units if level[node] == stage_index + 1]
        row_totals = accumulate_sums(function, tables, summed, kept)
        for state, slot in observed.items():  # before gradients are sent, which overwrite the incoming ones
            if narrow_state[state] == narrow and level.get(backward.total_gradients[state], 0) == stage_index:
                function.store(backward.total_gradients[state], slot, optional=True)
        for delta, slot in delta_slots.items():
            if delta in stores and delta not in kept:
                function.store(delta, slot)
        for operand, slot in operand_slots.items():
            if operand in stores:
                function.store(operand, slot, optional=True)
        for index, total in enumerate(totals.values()):
            if level.get(total, 0) == stage_index and is_narrow(cell, total) == narrow:
                function.accumulate(index, total)
        if sends:
            for state, slot in sent.items():
                if narrow_state[state] != narrow:
                    continue
                if state in backward.states:
                    function.store(backward.states[state], slot)
                else:
                    function.store_zero(slot)
        storage.update(kept)
        text += function.text()
        stages.append(stage_of(function, products, outputs, row_totals, narrow))
    slots = {**delta_slots, **operand_slots}
    arrays, narrow_arrays = tables.arrays, frozenset(tables.narrow)
    return text, Direction(tuple(stages), arrays, narrow_arrays, tuple(tables.vectors), slots, tuple(totals))


class _FusedSums:
    """Sums with transposed products: all products of a sum become one, over all its gradients.

    Attributes:
        products: the transposed products of each sum (or of a product that is not in a sum).
        rest: the other terms of each sum.
    """

    def __init__(self, order: list[Expr], available: set[Expr], roots: set[Expr]) -> None:
        self.order = [node for node in order if node.op not in COMPARISONS]
        self.available, self.roots = available, roots
        self.readers: dict[Expr, list[Expr]] = {}
        for node in order:
            if node not in available:
                for arg in node.args[1:] if node.op == "matmul_transposed" else node.args:
                    self.readers.setdefault(arg, []).append(node)
        self.products: dict[Expr, list[Expr]] = {}
        self.rest: dict[Expr, list[Expr]] = {}
        absorbed: set[Expr] = set()
        for node in self.order:
            if node.op != "add" or node in available or self._within_sum(node):
                continue
            terms, inner = self._terms(node)
            products = [t for t in terms if t.op == "matmul_transposed" and self._only_here(t)]
            if products:
                taken = set(products)
                self.products[node], self.rest[node] = products, [t for t in terms if t not in taken]
                absorbed |= taken | inner
        for node in self.order:
            if node.op == "matmul_transposed" and node not in absorbed:
                self.products[node], self.rest[node] = [node], []
        self.order = [node for node in self.order if node not in absorbed]

    @property
    def sums_over_units(self) -> list[Expr]:
        """The sums over units that are computed."""
        return [node for node in self.order if node.op == "sum" and node not in self.available]

    def levels(self) -> dict[Expr, int]:
        """The earliest stage in which each value can be computed, or for a sum over units read."""
        level: dict[Expr, int] = {}
        for node in self.order:
            if node in self.available or not node.args:
                level[node] = 0
                continue
            after_product = [1 + level.get(product.args[1], 0) for product in self.products.get(node, ())]
            level[node] = max([*after_product, *(level.get(value, 0) for value in self.read_by(node))], default=0)
            level[node] += node.op == "sum"
        return level

    def read_by(self, node: Expr) -> Iterator[Expr]:
        """The values that the elementwise part of a node reads."""
        if node in self.products:
            yield from self.rest[node]
        else:
            yield from values_read(node)

    def _only_here(self, node: Expr) -> bool:
        return len(self.readers.get(node, ())) == 1 and node not in self.roots

    def _within_sum(self, node: Expr) -> bool:
        return node.op == "add" and self._only_here(node) and self.readers[node][0].op == "add"

    def _terms(self, node: Expr) -> tuple[list[Expr], set[Expr]]:
        terms: list[Expr] = []
        inner: set[Expr] = set()
        for arg in node.args:
            if self._within_sum(arg) and arg not in self.available:
                below, further = self._terms(arg)
                terms += below
                inner |= further | {arg}
            else:
                terms.append(arg)
        return terms, inner


def _runs(cell: Cell, products: Iterable[Expr], slots: dict[Expr, Slot]) -> Iterator[list[Expr]]:
    """Transposed products whose gradients are adjacent, of whole matrices or of those divided into heads."""
    run: list[Expr] = []
    location = {product: (slots[product.args[1]].array, slots[product.args[1]].block) for product in products}
    for product in sorted(location, key=lambda product: location[product]):
        follows = run and location[product] == (location[run[-1]][0], location[run[-1]][1] + 1)
        if run and not (follows and is_divided(cell, product) == is_divided(cell, run[-1])):
            yield run
            run = []
        run.append(product)
    yield run
