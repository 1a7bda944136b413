"""From a plan to C++: the work of every stage, forward and backward, and what the engine must know to run it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from gatewise.compiler.cpp import INPUTS, Accumulator, Function, Place, Slot, Tables, values_read
from gatewise.compiler.differentiate import arriving
from gatewise.compiler.one_row import BlockGradient, RowPass, epilogue, prologue
from gatewise.compiler.plan import Plan, plan
from gatewise.compiler.schedule import needed, parameters_alone
from gatewise.equations.cell import Cell
from gatewise.equations.expression import COMPARISONS, Expr, Parameter, topological

# The array that takes, for who watches, the whole gradient of every state after a step: side by side, in their order.
STATE_GRADIENTS = "state gradients"
# More products of one operand than this are cut into several tiles: their accumulators must fit the registers.
WIDEST = 4


class EmitError(ValueError):
    """The compiler found no way to run a cell's equations on the engine; other backends can."""


@dataclass(frozen=True)
class Product:
    """Blocks times one operand, forward; or, backward, transposed blocks times a run of gradients.

    Attributes:
        operand: the array, and where in its rows the operand begins.
        blocks: the parameter blocks.
        first: how many outputs of this stage come before this product's.
        add: whether an earlier product of the stage has the same output, and this one adds to it.
    """

    operand: Slot
    blocks: tuple[Parameter, ...]
    first: int
    add: bool


@dataclass(frozen=True)
class Stage:
    """Products and the function that works on them.

    Attributes:
        function: its name; empty for no work.
        products: what is multiplied before.
        outputs: of all products together.
        inputs: of the values computed from x alone a range that holds all that the function reads.
    """

    function: str
    products: tuple[Product, ...]
    outputs: int
    inputs: range


@dataclass(frozen=True)
class Direction:
    """One way through time, forward or backward.

    Attributes:
        stages: in order.
        arrays: by name, how many blocks of H units its rows have.
        vectors: expressions of parameters alone that the work reads.
        slots: where the values stand that are used after the loop.
        sums: expressions of parameters alone whose gradients the work adds up.
    """

    stages: tuple[Stage, ...]
    arrays: dict[str, int]
    vectors: tuple[Expr, ...]
    slots: dict[Expr, Slot]
    sums: tuple[Expr, ...]


VectorPlace = Parameter | int
"""Where a vector stands: a block of a parameter group, or a block of what the prologue computes."""


class Input(NamedTuple):
    """A value computed from x alone: a product with x, and at most one vector that is added to it."""

    block: Parameter
    vector: VectorPlace | None


class OuterRun(NamedTuple):
    """Blocks of one group, next to each other, whose gradients are outer products with one operand.

    Attributes:
        blocks: in gate order.
        delta: the first block of the array ``delta``; the others follow.
        operand: the number of the operand; −1 for x.
    """

    blocks: tuple[Parameter, ...]
    delta: int
    operand: int


@dataclass(frozen=True)
class Program:
    """A cell, ready for the engine: C++ source, and what `constants` says of it.

    Attributes:
        plan: how the cell runs.
        prefix: begins the name of each function.
        source: the functions, templates over the number type.
        inputs: the values computed from x alone, in the order of their blocks in the array ``x``.
        forward, backward: the two ways through time.
        forward_vectors, backward_vectors: where the vectors stand that each reads.
        prologue, epilogue: what is done once of parameters alone, before the loops and after them.
        outers: the gradients of matrices.
        operand_states: by operand of ``outers`` the number of the state that it is, before the step; −1 for another.
        gradients: the gradients of parameters that follow from sums over steps and rows.
    """

    plan: Plan
    prefix: str
    source: str
    inputs: tuple[Input, ...]
    forward: Direction
    backward: Direction
    forward_vectors: tuple[VectorPlace, ...]
    backward_vectors: tuple[VectorPlace, ...]
    prologue: RowPass
    epilogue: RowPass
    outers: tuple[OuterRun, ...]
    operand_states: tuple[int, ...]
    gradients: tuple[BlockGradient, ...]

    @property
    def saved_blocks(self) -> int:
        """Blocks of H units that the forward pass saves for backward, beside the states."""
        return len(self.plan.backward.saved)

    @property
    def functions(self) -> tuple[str, ...]:
        """The names of the functions in the source."""
        loops = (*self.forward.stages, *self.backward.stages)
        stages = (*self.prologue.stages, *loops, *self.epilogue.stages)
        return tuple(stage.function for stage in stages if stage.function)


def emit(cell: Cell, prefix: str) -> Program:
    """Compile a cell to the engine's C++.

    Arguments:
        cell: the cell.
        prefix: begins the name of each function.

    Raises:
        EmitError: when there is no way to schedule its equations.

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
    inputs = tuple(sorted(planned.inputs, key=lambda node: _rank(cell, _first_block(node))))
    forward_text, forward = _forward(planned, inputs, prefix)
    backward_text, backward = _backward(planned, prefix)
    added = [_added(node) for node in inputs]
    read = [*(node for node in added if node is not None), *forward.vectors, *backward.vectors]
    computed = {node: at for at, node in enumerate(node for node in dict.fromkeys(read) if node.op != "parameter")}

    def place(node: Expr) -> VectorPlace:
        return node.attr if isinstance(node.attr, Parameter) else computed[node]

    before = prologue(cell, tuple(computed), prefix)
    after, gradients = epilogue(cell, tuple(computed), _sum_leaves(planned, backward), _from_sums(planned), prefix)
    operands = [slot for slot in backward.slots.values() if slot.array != "delta"]
    return Program(
        plan=planned,
        prefix=prefix,
        source=before.source + forward_text + backward_text + after.source,
        inputs=tuple(
            Input(_first_block(node), None if vector is None else place(vector))
            for node, vector in zip(inputs, added, strict=True)
        ),
        forward=forward,
        backward=backward,
        forward_vectors=tuple(map(place, forward.vectors)),
        backward_vectors=tuple(map(place, backward.vectors)),
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


def _added(node: Expr) -> Expr | None:
    """What is added to a product with x."""
    return (
        None
        if node.op == "matmul"
        else next(arg for arg in node.args if arg.op != "matmul" or arg.args[1].op != "input")
    )


def _sum_leaves(planned: Plan, backward: Direction) -> list[Expr]:
    """The leaves that stand for the sums of the loop, in their order."""
    number = {expression: at for at, expression in enumerate(planned.hoisted)}
    return [arriving(str(number[expression])) for expression in backward.sums]


def _from_sums(planned: Plan) -> list[tuple[Parameter, tuple[Expr, ...]]]:
    """Of each block the expressions of sums that its gradient is made of."""
    gradient = planned.backward.parameters
    vectors = [(block, (vector,)) for block, vector in gradient.vectors.items()]
    return vectors + [(block, pair) for block, pairs in gradient.matrices.items() for pair in pairs]


def _outer_runs(planned: Plan, backward: Direction) -> tuple[OuterRun, ...]:
    """The outer products of the matrix gradients, as few and as large as the layouts allow.

    All blocks of a run are either the first to write to their gradients, or none is.
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
    """Whether a block stands right behind another one of its group."""
    gates = cell.gates_of(block.group)
    return before.group == block.group and gates.index(before.gate) + 1 == gates.index(block.gate)


def _forward(planned: Plan, inputs: tuple[Expr, ...], prefix: str) -> tuple[str, Direction]:
    cell = planned.cell
    tables = Tables(parameters_alone(planned.outputs))
    places: dict[Expr, Place] = {node: tables.slot(INPUTS) for node in inputs}
    for state in cell.states:
        places[Expr.make("state", attr=state)] = tables.slot(f"previous {state}", 0)
    returned: dict[Expr, list[Slot]] = {}
    for state, node in zip(cell.states, planned.outputs, strict=True):
        returned.setdefault(node, []).append(tables.slot(f"next {state}", 0))
    saved = {node: tables.slot("saved") for node in planned.backward.saved}

    last_reader: dict[Expr, int] = {}
    operands: set[Expr] = set()
    for at, stage in enumerate(planned.stages):
        operands.update(product.args[1] for product in stage.products)
        for node in stage.work:
            last_reader.update((value, max(at, last_reader.get(value, 0))) for value in values_read(node))
    made = {node for stage in planned.stages for node in (*stage.products, *stage.work)}

    text, stages = "", []
    for at, stage in enumerate(planned.stages):
        products: list[Product] = []
        outputs = 0
        for operand, nodes in stage.operands.items():
            ordered = sorted(nodes, key=lambda node: _rank(cell, _block(node)))
            place = places[operand]
            assert isinstance(place, Slot)
            for begin in range(0, len(ordered), WIDEST):
                chunk = ordered[begin : begin + WIDEST]
                products.append(Product(place, tuple(map(_block, chunk)), outputs, False))
                for index, node in enumerate(chunk):
                    places[node] = Accumulator(outputs, len(chunk), index)
                outputs += len(chunk)
        function = Function(tables, f"{prefix}_forward_{at}", places)
        here = (*stage.products, *stage.work)
        kept: dict[Expr, Slot] = {}
        for node in here:
            function.value(node)
        for node in here:
            if node in saved:
                function.store(node, saved[node], optional=True)
            if node in operands or last_reader.get(node, 0) > at:
                kept[node] = tables.slot("between")
                function.store(node, kept[node])
        if at == 0:
            for node in inputs:
                if node in saved:
                    function.store(node, saved[node], optional=True)
        is_last = at == len(planned.stages) - 1
        for node in returned:
            if node in set(here) or (is_last and node not in made):
                for slot in returned[node]:
                    function.store(node, slot)
        # Later stages find a value where it was kept; the accumulators are theirs.
        for node in here:
            places.pop(node, None)
        places.update(kept)
        text += function.text()
        stages.append(_stage(function, products, outputs))
    return text, Direction(tuple(stages), tables.arrays, tuple(tables.vectors), {}, ())


def _stage(function: Function, products: list[Product], outputs: int) -> Stage:
    read = function.blocks_used.get(INPUTS)
    inputs = range(min(read), max(read) + 1) if read else range(0)
    return Stage("" if function.empty else function.name, tuple(products), outputs, inputs)


def _backward(planned: Plan, prefix: str) -> tuple[str, Direction]:
    cell, backward = planned.cell, planned.backward
    operands = dict.fromkeys(outer.operand for outer in backward.outers if outer.operand.op != "input")
    # In the order of the parameters, so that the sums of a group stand side by side.
    totals = dict(sorted(backward.sums.items(), key=lambda total: _first_rank(cell, total[0])))
    deltas = dict.fromkeys(outer.delta for outer in sorted(backward.outers, key=lambda outer: _rank(cell, outer.block)))
    roots = (*backward.states.values(), *backward.whole.values(), *backward.sums.values(), *deltas, *operands)
    tables = Tables(parameters_alone((*roots, *planned.outputs)))
    places: dict[Expr, Place] = {}
    for state in cell.states:
        places[Expr.make("state", attr=state)] = tables.slot(f"previous {state}", 0)
    for state, node in zip(cell.states, planned.outputs, strict=True):
        slot = tables.slot(f"next {state}", 0)
        if node.args:
            places.setdefault(node, slot)
    tables.array("saved")
    for node in backward.saved:
        places[node] = tables.slot("saved")
    for at, state in enumerate(cell.states):
        arriving = tables.slot(f"arriving {state}", 0)
        reaches = (tables.slot("output gradient", 0), arriving) if at == 0 else arriving
        places[Expr.make("gradient", attr=state)] = reaches
    sent = {state: tables.slot(f"sent {state}", 0) for state in cell.states}
    shown = {state: tables.slot(STATE_GRADIENTS) for state in cell.states}
    delta_slots = {delta: tables.slot("delta") for delta in deltas}
    operand_slots = {operand: tables.slot(f"operand {at}", 0) for at, operand in enumerate(operands)}

    available = {*tables.steady, *places}
    order = [node for node in needed(roots, available) if node not in tables.steady]
    for node in order:  # nearly always one of those already
        if node.op == "matmul_transposed" and node.args[1] not in delta_slots:
            delta_slots[node.args[1]] = tables.slot("delta")
    sums = _Sums(order, available, set(roots))
    level = sums.levels()
    last = max(level.values(), default=0)
    last_reader: dict[Expr, int] = {}
    for node in level:
        if node not in available:
            for value in sums.read_by(node):
                last_reader[value] = max(level[node], last_reader.get(value, 0))
    for node in backward.states.values():
        last_reader[node] = last

    text, stages = "", []
    for at in range(last + 1):
        here = [node for node in level if level[node] == at and node not in available]
        function = Function(tables, f"{prefix}_backward_{at}", places)
        products: list[Product] = []
        outputs = 0
        for node in here:
            if node not in sums.products:
                continue
            for index, run in enumerate(_runs(sums.products[node], delta_slots)):
                slot = delta_slots[run[0].args[1]]
                products.append(Product(slot, tuple(map(_block, run)), outputs, index > 0))
            function.sum(node, Accumulator(outputs, 1, 0), sums.rest[node])
            outputs += 1
        kept: dict[Expr, Slot] = {}
        for node in here:
            function.value(node)
        for node in here:
            if node in delta_slots:
                function.store(node, delta_slots[node])
                kept[node] = delta_slots[node]
            elif last_reader.get(node, 0) > at:
                kept[node] = tables.slot("between")
                function.store(node, kept[node])
        for state, slot in shown.items():  # before anything is sent, which takes the place of what arrived
            if level.get(backward.whole[state], 0) == at:
                function.store(backward.whole[state], slot, optional=True)
        for delta, slot in delta_slots.items():
            if level.get(delta, 0) == at and delta not in kept:
                function.store(delta, slot)
        for operand, slot in operand_slots.items():
            if level.get(operand, 0) == at:
                function.store(operand, slot, optional=True)
        for index, total in enumerate(totals.values()):
            if level.get(total, 0) == at:
                function.add_up(index, total)
        if at == last:
            for state, slot in sent.items():
                if state in backward.states:
                    function.store(backward.states[state], slot)
                else:
                    function.store_zero(slot)
        places.update(kept)
        text += function.text()
        stages.append(_stage(function, products, outputs))
    slots = {**delta_slots, **operand_slots}
    return text, Direction(tuple(stages), tables.arrays, tuple(tables.vectors), slots, tuple(totals))


class _Sums:
    """Sums that hold transposed products: all their products become one, over all their gradients.

    Attributes:
        products: by the sum (or a product that stands alone), its transposed products.
        rest: by the same, its other terms.
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

    def levels(self) -> dict[Expr, int]:
        """For every value the stage in which it can be computed."""
        level: dict[Expr, int] = {}
        for node in self.order:
            if node in self.available or not node.args:
                level[node] = 0
                continue
            after_product = [1 + level.get(product.args[1], 0) for product in self.products.get(node, ())]
            level[node] = max([*after_product, *(level.get(value, 0) for value in self.read_by(node))], default=0)
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
    """Transposed products whose gradients stand side by side."""
    run: list[Expr] = []
    for product in sorted(products, key=lambda product: slots[product.args[1]].block):
        if run and slots[product.args[1]].block != slots[run[-1].args[1]].block + 1:
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
