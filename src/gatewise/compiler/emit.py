"""From a plan to C++: the work of every stage, forward and backward, and its description for the engine."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gatewise.compiler.cpp import (
    INPUT_PROJECTIONS,
    ROW_VALUES,
    SAVED_ROW_VALUES,
    Accumulator,
    Function,
    Slot,
    Storage,
    Tables,
    values_read,
)
from gatewise.compiler.differentiate import upstream_leaf
from gatewise.compiler.parameter_passes import BlockGradient, ParameterPass, epilogue, prologue
from gatewise.compiler.plan import Plan, plan
from gatewise.compiler.schedule import Stage as Scheduled
from gatewise.compiler.schedule import loop_invariants, needed
from gatewise.equations.cell import Cell
from gatewise.equations.expression import COMPARISONS, Expr, Parameter, Width, topological

# The array of the total gradients of all states after a step, in order, for observers.
STATE_GRADIENTS = "state gradients"
# The suffix of arrays whose blocks have the width of a projection.
NARROW = " of projections"
MASK = "mask "  # prefix of the array name of a mask, followed by its number
# More products of one operand are divided into several tiles, whose accumulators fit the registers.
MAX_PRODUCTS = 4


class EmitError(ValueError):
    """A cell's equations cannot be compiled for the engine; other backends can run them."""


@dataclass(frozen=True)
class Product:
    """Blocks times one operand, forward; or, backward, transposed blocks times a run of gradients.

    Attributes:
        operand: the array, and the block of its rows where the operand begins.
        blocks: the parameter blocks.
        first: number of outputs of this stage before those of this product.
        add: whether this product accumulates into the output of an earlier one.
    """

    operand: Slot
    blocks: tuple[Parameter, ...]
    first: int
    add: bool


@dataclass(frozen=True)
class Stage:
    """Products and the function that reads them.

    Attributes:
        function: its name; empty if there is no elementwise work.
        products: the products computed before the function is called.
        outputs: total number of outputs of the products.
        input_blocks: range of blocks of the input projections that covers all that the function reads.
        totals: range of blocks of the row values that are the sums over units of this stage.
        whole_rows: whether the function takes whole rows: it has no products, and reads or sums values of rows.
        narrow: whether its units are those of a projection, P rather than H.
    """

    function: str
    products: tuple[Product, ...]
    outputs: int
    input_blocks: range
    totals: range = range(0)
    whole_rows: bool = False
    narrow: bool = False


@dataclass(frozen=True)
class Direction:
    """One pass over time, forward or backward.

    Attributes:
        stages: in order of execution.
        arrays: number of blocks of H units, of P, or of row values, in the rows of each array, by name.
        narrow: the arrays whose blocks have P units.
        vectors: loop-invariant expressions that the work reads.
        slots: where the values are stored that are used after the loop.
        reductions: loop-invariant expressions whose gradients the work accumulates.
    """

    stages: tuple[Stage, ...]
    arrays: dict[str, int]
    narrow: frozenset[str]
    vectors: tuple[Expr, ...]
    slots: dict[Expr, Slot]
    reductions: tuple[Expr, ...]


VectorSource = Parameter | int
"""Where a vector is stored: a block of a parameter group, or a block computed by the prologue."""


class InputProjection(NamedTuple):
    """A product with x, and at most one vector added to it."""

    block: Parameter
    vector: VectorSource | None


class OuterRun(NamedTuple):
    """Adjacent blocks of one group whose gradients are outer products with the same operand.

    Attributes:
        blocks: in gate order.
        delta: index of the first block in the array ``delta``; the others follow.
        operand: number of the operand; −1 for x.
    """

    blocks: tuple[Parameter, ...]
    delta: int
    operand: int


@dataclass(frozen=True)
class Program:
    """A compiled cell: C++ source, and the tables that `constants` emits.

    Attributes:
        plan: the execution plan.
        prefix: prefix of the function names.
        forward_source, backward_source: the functions of the prologue and the forward pass, and of the backward pass
            and the epilogue; templates over the number type.
        input_projections: in the order of their blocks in the array ``x``.
        forward, backward: the two passes over time.
        forward_vectors, backward_vectors: where the vectors that each pass reads are stored.
        prologue, epilogue: computations of parameters only, before and after the loops.
        outers: the gradients of matrices.
        operand_states: for each operand of ``outers`` the number of the previous state that it is; −1 for others.
        gradients: the gradients of parameters computed from reductions over steps and rows.
    """

    plan: Plan
    prefix: str
    forward_source: str
    backward_source: str
    input_projections: tuple[InputProjection, ...]
    forward: Direction
    backward: Direction
    forward_vectors: tuple[VectorSource, ...]
    backward_vectors: tuple[VectorSource, ...]
    prologue: ParameterPass
    epilogue: ParameterPass
    outers: tuple[OuterRun, ...]
    operand_states: tuple[int, ...]
    gradients: tuple[BlockGradient, ...]

    @property
    def source(self) -> str:
        """All functions."""
        return self.forward_source + self.backward_source

    @property
    def saved_blocks(self) -> int:
        """Number of blocks of H units saved for backward, besides the states."""
        return self.plan.backward.saved_blocks - self.saved_projections

    @property
    def saved_projections(self) -> int:
        """Number of blocks of P units saved for backward, besides the states."""
        return self.plan.saved_projections

    @property
    def saved_row_values(self) -> int:
        """Number of values that a row has once saved for backward, with padding."""
        return self.plan.backward.saved_row_values

    @property
    def functions(self) -> tuple[str, ...]:
        """The names of the functions in the source."""
        loops = (*self.forward.stages, *self.backward.stages)
        stages = (*self.prologue.stages, *loops, *self.epilogue.stages)
        return tuple(stage.function for stage in stages if stage.function)


def emit(cell: Cell, prefix: str) -> Program:
    """Compile a cell to the engine's C++.

    Args:
        cell: the cell.
        prefix: prefix of the function names.

    Raises:
        EmitError: when its equations cannot be scheduled.

    >>> from gatewise.cells import lookup
    >>> emit(lookup("gru_chung2014"), "gru").functions
    ('gru_forward_1', 'gru_forward_2', 'gru_backward_0', 'gru_backward_1', 'gru_backward_2')
    """
    try:
        return _emit(cell, prefix)
    except RecursionError as error:
        raise EmitError("its equations are nested too deeply") from error
    except (LookupError, AssertionError) as error:
        raise EmitError(f"the compiler cannot schedule its equations ({type(error).__name__}: {error})") from error


def _emit(cell: Cell, prefix: str) -> Program:
    planned = plan(cell)
    _check_widths(planned)
    input_projections = tuple(sorted(planned.input_projections, key=lambda node: _rank(cell, _first_block(node))))
    forward_text, forward = _forward(planned, input_projections, prefix)
    backward_text, backward = _backward(planned, prefix)
    added = [_added(node) for node in input_projections]
    read = [*(node for node in added if node is not None), *forward.vectors, *backward.vectors]
    computed = {
        node: index for index, node in enumerate(node for node in dict.fromkeys(read) if node.op != "parameter")
    }

    def source(node: Expr) -> VectorSource:
        return node.attr if isinstance(node.attr, Parameter) else computed[node]

    before = prologue(cell, tuple(computed), prefix)
    after, gradients = epilogue(
        cell, tuple(computed), _reduction_leaves(planned, backward), _from_reductions(planned), prefix
    )
    operands = [slot for slot in backward.slots.values() if not slot.array.startswith("delta")]
    return Program(
        plan=planned,
        prefix=prefix,
        forward_source=before.source + forward_text,
        backward_source=backward_text + after.source,
        input_projections=tuple(
            InputProjection(_first_block(node), None if vector is None else source(vector))
            for node, vector in zip(input_projections, added, strict=True)
        ),
        forward=forward,
        backward=backward,
        forward_vectors=tuple(map(source, forward.vectors)),
        backward_vectors=tuple(map(source, backward.vectors)),
        prologue=before,
        epilogue=after,
        outers=_outer_runs(planned, backward),
        operand_states=tuple(
            cell.states.index(str(operand.attr)) if operand.op == "state" else -1
            for operand, slot in backward.slots.items()
            if slot in operands
        ),
        gradients=gradients,
    )


def _check_widths(planned: Plan) -> None:
    """Check that what has the width of a projection is computed within a step.

    Raises:
        EmitError: otherwise.
    """
    sizes = planned.cell.sizes
    if not planned.cell.projected:
        return
    refused = {
        "products with x": planned.input_projections,
        "expressions of parameters": [node for node in planned.hoisted if node.op != "parameter"],
    }
    for what, nodes in refused.items():
        if any(sizes.of(node) == "P" for node in nodes):
            raise EmitError(f"it has {what} of the width of a projection, which the fused CPU kernels do not take")
    for block, delta, operand in planned.backward.outers:
        pairs = ((delta, sizes.rows[block.group]), (operand, sizes.columns[block.group]))
        if any(_is_narrow(planned.cell, node) != (size == "P") for node, size in pairs):
            raise EmitError(f"the gradient of {block} is made of numbers, whose width is not known")
    for root in (*planned.hoisted, *planned.backward.hoisted):
        for node in topological([root]):
            if node.op in ("matmul", "matmul_transposed") and "P" in sizes.of_matrix(node):
                raise EmitError("it multiplies parameters by a matrix of a projection, outside of the loop")


def _by_width(cell: Cell, staged: Sequence[Scheduled]) -> list[tuple[Scheduled, bool]]:
    """Stages of units of one width each, and whether it is that of a projection.

    Within a stage neither width depends on the other. The last stage has both, to store the states.
    """
    found: list[tuple[Scheduled, bool]] = []
    for index, stage in enumerate(staged):
        parts = {
            narrow: Scheduled(
                tuple(node for node in stage.products if _is_narrow(cell, node) == narrow),
                tuple(node for node in stage.work if _is_narrow(cell, node) == narrow),
            )
            for narrow in (False, True)
        }
        found.append((parts[False], False))
        if parts[True].products or parts[True].work or (cell.projected and index == len(staged) - 1):
            found.append((parts[True], True))
    return found


def _is_narrow(cell: Cell, node: Expr) -> bool:
    """Whether a value has the width of a projection."""
    return cell.projected and node.width is Width.UNITS and cell.sizes.of(node) == "P"


def _added(node: Expr) -> Expr | None:
    """The vector added to a product with x."""
    return (
        None
        if node.op == "matmul"
        else next(arg for arg in node.args if arg.op != "matmul" or arg.args[1].op != "input")
    )


def _reduction_leaves(planned: Plan, backward: Direction) -> list[Expr]:
    """The leaves that represent the reductions of the loop, in order."""
    number = {expression: index for index, expression in enumerate(planned.hoisted)}
    return [upstream_leaf(str(number[expression])) for expression in backward.reductions]


def _from_reductions(planned: Plan) -> list[tuple[Parameter, tuple[Expr, ...]]]:
    """The expressions of reductions that form the gradient of each block."""
    gradient = planned.backward.parameters
    vectors = [(block, (vector,)) for block, vector in gradient.vectors.items()]
    return vectors + [(block, pair) for block, pairs in gradient.matrices.items() for pair in pairs]


def _outer_runs(planned: Plan, backward: Direction) -> tuple[OuterRun, ...]:
    """The outer products of the matrix gradients, as few and as large as the layouts allow.

    Either all blocks of a run are the first to write to their gradients, or none.
    """
    cell, runs = planned.cell, []
    written: set[Parameter] = set()
    for outer in sorted(planned.backward.outers, key=lambda outer: _rank(cell, outer.block)):
        delta = backward.slots[outer.delta].block
        operand = -1 if outer.operand.op == "input" else int(backward.slots[outer.operand].array.split()[1])
        first_write = outer.block not in written
        last = runs[-1] if runs else None
        if (
            last is not None
            and last[0].operand == operand
            and last[1] == first_write
            and last[0].delta + len(last[0].blocks) == delta
            and _follows(cell, last[0].blocks[-1], outer.block)
        ):
            runs[-1] = (last[0]._replace(blocks=(*last[0].blocks, outer.block)), first_write)
        else:
            runs.append((OuterRun((outer.block,), delta, operand), first_write))
        written.add(outer.block)
    return tuple(run for run, _ in runs)


def _follows(cell: Cell, before: Parameter, block: Parameter) -> bool:
    """Whether a block directly follows another one of its group."""
    gates = cell.gates_of(block.group)
    return before.group == block.group and gates.index(before.gate) + 1 == gates.index(block.gate)


def _forward(planned: Plan, input_projections: tuple[Expr, ...], prefix: str) -> tuple[str, Direction]:
    cell = planned.cell
    tables = Tables(loop_invariants(planned.outputs))
    storage: dict[Expr, Storage] = {node: tables.slot(INPUT_PROJECTIONS) for node in input_projections}
    narrow_states = [width == "P" for width in cell.widths]
    for state, narrow in zip(cell.states, narrow_states, strict=True):
        storage[Expr.make("state", attr=state)] = tables.slot(f"previous {state}", 0, narrow=narrow)
    storage.update(_mask_slots(cell, tables))
    returned: dict[tuple[Expr, bool], list[Slot]] = {}
    for state, node, narrow in zip(cell.states, planned.outputs, narrow_states, strict=True):
        slot = tables.slot(f"next {state}", 0, narrow=narrow)
        returned.setdefault((node, narrow), []).append(slot)
    staged = _by_width(cell, planned.stages)
    saved = _saved_slots(tables, planned)

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
    for stage_index, (stage, narrow) in enumerate(staged):
        products: list[Product] = []
        outputs = 0
        for operand, nodes in stage.operands.items():
            ordered = sorted(nodes, key=lambda node: _rank(cell, _block(node)))
            source = storage[operand]
            assert isinstance(source, Slot)
            for begin in range(0, len(ordered), MAX_PRODUCTS):
                chunk = ordered[begin : begin + MAX_PRODUCTS]
                products.append(Product(source, tuple(map(_block, chunk)), outputs, False))
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
            later = last_reader.get(node, 0) > stage_index and not _is_cheap(node, storage)
            if node in operands or later:
                kept[node] = tables.slot(_named("between", narrow), narrow=narrow)
                function.store(node, kept[node])
        row_totals = _accumulate(function, tables, summed, kept)
        for node in of_rows:
            if node in saved:
                function.store_row_value(node, saved[node])
        if stage_index == 0:
            for node in input_projections:
                if node in saved:
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
        stages.append(_stage(function, products, outputs, row_totals, narrow))
    return text, Direction(tuple(stages), tables.arrays, frozenset(tables.narrow), tuple(tables.vectors), {}, ())


def _named(array: str, narrow: bool) -> str:
    return array + NARROW if narrow else array


def _mask_slots(cell: Cell, tables: Tables) -> dict[Expr, Slot]:
    leaves = [Expr.make("mask", attr=mask) for mask in cell.masks]
    return {leaf: tables.slot(f"{MASK}{index}", 0, narrow=_is_narrow(cell, leaf)) for index, leaf in enumerate(leaves)}


def _stage(function: Function, products: list[Product], outputs: int, totals: range, narrow: bool) -> Stage:
    if narrow and function.counts_units:
        raise EmitError("a value of the width of a projection reads a mean over units, which it has not stored")
    read = function.blocks_used.get(INPUT_PROJECTIONS)
    blocks = range(min(read), max(read) + 1) if read else range(0)
    whole_rows = not products and function.over_rows
    name = "" if function.empty else function.name
    return Stage(name, tuple(products), outputs, blocks, totals, whole_rows, narrow)


def _saved_slots(tables: Tables, planned: Plan) -> dict[Expr, Slot]:
    """Where the values saved for backward are stored."""
    slots: dict[Expr, Slot] = {}
    for node in planned.backward.saved:
        narrow = _is_narrow(planned.cell, node)
        array = SAVED_ROW_VALUES if node.width is Width.ROW else _named("saved", narrow)
        slots[node] = tables.slot(array, narrow=narrow)
    return slots


def _accumulate(function: Function, tables: Tables, summed: Sequence[Expr], kept: dict[Expr, Slot]) -> range:
    """Add up sums over units; returns their blocks of the row values."""
    for node in summed:
        function.sum_over_units(node.args[0])
        kept[node] = tables.slot(ROW_VALUES)
    return range(kept[summed[0]].block, kept[summed[-1]].block + 1) if summed else range(0)


def _is_cheap(node: Expr, storage: Mapping[Expr, Storage]) -> bool:
    """Whether a later stage computes a value again: of what is stored, and of values that a row has once."""
    return any(arg.width is Width.ROW for arg in node.args) and all(
        arg.width is not Width.UNITS or isinstance(storage.get(arg), Slot) for arg in node.args
    )


def _backward(planned: Plan, prefix: str) -> tuple[str, Direction]:
    cell, backward = planned.cell, planned.backward
    operands = dict.fromkeys(outer.operand for outer in backward.outers if outer.operand.op != "input")
    # In the order of the parameters, so that the reductions of a group are adjacent.
    totals = dict(sorted(backward.reductions.items(), key=lambda total: _first_rank(cell, total[0])))
    deltas = dict.fromkeys(outer.delta for outer in sorted(backward.outers, key=lambda outer: _rank(cell, outer.block)))
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
    storage.update(_mask_slots(cell, tables))
    tables.array("saved")
    storage.update(_saved_slots(tables, planned))
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
        narrow = _is_narrow(cell, delta)
        return tables.slot(_named("delta", narrow), narrow=narrow)

    delta_slots = {delta: delta_slot(delta) for delta in deltas}
    operand_slots = {
        operand: tables.slot(f"operand {position}", 0, narrow=_is_narrow(cell, operand))
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
            and _is_narrow(cell, node) == narrow
        ]
        sends = stage_index == last and (not narrow or cell.projected)
        stores = {
            value
            for value in (*delta_slots, *operand_slots, *backward.total_gradients.values())
            if level.get(value, 0) == stage_index and _is_narrow(cell, value) == narrow
        }
        if narrow and not (here or stores or sends):
            continue
        function = Function(tables, f"{prefix}_backward_{stage_index}{'_narrow' * narrow}", storage)
        products: list[Product] = []
        outputs = 0
        for node in here:
            if node not in fused.products:
                continue
            for index, run in enumerate(_runs(fused.products[node], delta_slots)):
                slot = delta_slots[run[0].args[1]]
                products.append(Product(slot, tuple(map(_block, run)), outputs, index > 0))
            function.sum(node, Accumulator(outputs, 1, 0), fused.rest[node])
            outputs += 1
        kept: dict[Expr, Slot] = {}
        for node in here:
            function.value(node)
        for node in here:
            if node in delta_slots:
                function.store(node, delta_slots[node])
                kept[node] = delta_slots[node]
            elif last_reader.get(node, 0) > stage_index and not _is_cheap(node, storage):
                kept[node] = tables.slot(_named("between", narrow), narrow=narrow)
                function.store(node, kept[node])
        summed = [] if narrow else [node for node in fused.sums_over_units if level[node] == stage_index + 1]
        row_totals = _accumulate(function, tables, summed, kept)
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
            if level.get(total, 0) == stage_index and _is_narrow(cell, total) == narrow:
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
        stages.append(_stage(function, products, outputs, row_totals, narrow))
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


def _runs(products: Iterable[Expr], slots: dict[Expr, Slot]) -> Iterator[list[Expr]]:
    """Transposed products whose gradients are adjacent."""
    run: list[Expr] = []
    location = {product: (slots[product.args[1]].array, slots[product.args[1]].block) for product in products}
    for product in sorted(location, key=lambda product: location[product]):
        if run and location[product] != (location[run[-1]][0], location[run[-1]][1] + 1):
            yield run
            run = []
        run.append(product)
    yield run


def _block(product: Expr) -> Parameter:
    block = product.args[0].attr
    assert isinstance(block, Parameter)
    return block


def _first_block(node: Expr) -> Parameter:
    return next(_block(part) for part in topological([node]) if part.op == "matmul")


def _first_rank(cell: Cell, expression: Expr) -> tuple[int, int]:
    blocks = (part.attr for part in topological([expression]) if part.op == "parameter")
    return min((_rank(cell, block) for block in blocks if isinstance(block, Parameter)), default=(0, 0))


def _rank(cell: Cell, block: Parameter) -> tuple[int, int]:
    return cell.groups.index(block.group), cell.gates_of(block.group).index(block.gate)
