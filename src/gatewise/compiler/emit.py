"""From a plan to C++: the work of every stage, forward and backward, and its description for the engine."""

from gatewise.compiler.backward_loop import backward_loop
from gatewise.compiler.differentiate import upstream_leaf
from gatewise.compiler.forward_loop import forward_loop
from gatewise.compiler.loop_stages import first_block, is_narrow, rank
from gatewise.compiler.parameter_passes import epilogue, prologue
from gatewise.compiler.plan import Plan, plan
from gatewise.compiler.program import Direction, EmitError, InputProjection, OuterRun, Program, VectorSource
from gatewise.equations.cell import Cell
from gatewise.equations.expression import Expr, Parameter, topological


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


def _as_work(functions: str) -> str:
    """Functions, compiled as ``cell.h`` says."""
    return f"GATEWISE_WORK_BEGINS\n{functions}GATEWISE_WORK_ENDS\n"


def _emit(cell: Cell, prefix: str) -> Program:
    planned = plan(cell)
    _check_widths(planned)
    # Those of the width of a projection last, so that no run of the others has them.
    input_projections = tuple(
        sorted(planned.input_projections, key=lambda node: (is_narrow(cell, node), rank(cell, first_block(node))))
    )
    forward_text, forward = forward_loop(planned, input_projections, prefix)
    backward_text, backward = backward_loop(planned, prefix)
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
        forward_source=_as_work(before.source + forward_text),
        backward_source=_as_work(backward_text + after.source),
        input_projections=tuple(
            InputProjection(first_block(node), None if vector is None else source(vector))
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
    if any(sizes.of(node) == "P" for node in planned.hoisted if node.op != "parameter"):
        raise EmitError(
            "it has expressions of parameters of the width of a projection, which the fused CPU kernels do not take"
        )
    for block, delta, operand in planned.backward.outers:
        pairs = ((delta, sizes.rows[block.group]), (operand, sizes.columns[block.group]))
        if any(is_narrow(planned.cell, node) != (size == "P") for node, size in pairs):
            raise EmitError(f"the gradient of {block} is made of numbers, whose width is not known")
    for root in (*planned.hoisted, *planned.backward.hoisted):
        for node in topological([root]):
            if node.op in ("matmul", "matmul_transposed") and "P" in sizes.of_matrix(node):
                raise EmitError("it multiplies parameters by a matrix of a projection, outside of the loop")


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
    for outer in sorted(planned.backward.outers, key=lambda outer: rank(cell, outer.block)):
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
