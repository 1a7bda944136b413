"""A layer as a loop of ONNX: a node Scan whose body is one step of the cell, in one direction or both."""

from collections.abc import Sequence

import numpy as np
from onnxscript import ir

from gatewise.equations import Cell
from gatewise.interchange.onnx.loop import Loop
from gatewise.interchange.onnx.node_list import NodeList, Value
from gatewise.interchange.onnx.step import Step


def scan(
    nodes: NodeList,
    cell: Cell,
    x: Value,
    initial: Sequence[Value],
    parameters: Sequence[Value],
    lengths: Value | None,
    reset: Value | None,
    directions: str,
) -> tuple[Value, list[Value]]:
    """The output (T, D, B, H) and the final states (D, B, H).

    Args:
        nodes: receives the nodes, the Scan among them.
        cell: the cell; ONNX has its operations.
        x: (T, B, I).
        initial: (D, B, H) per state.
        parameters: per direction, then per group of the cell.
        lengths: (B,) int64, or None.
        reset: (T, B) bool, or None.
        directions: ``forward``, ``reverse`` or ``bidirectional``.
    """
    flags = _flags(nodes, x, lengths, reset)
    loop = Loop()
    names = ("forward", "reverse") if directions == "bidirectional" else (directions,)
    for index, name in enumerate(names):
        tensors = dict(zip(cell.groups, parameters[index * len(cell.groups) :], strict=False))
        states = [nodes("Gather", state, nodes.constant(np.array(index)), axis=0) for state in initial]
        _add(loop, Step(cell, tensors, x, nodes), states, flags, reverse=name == "reverse")
    results = iter(loop.node(nodes))
    finals = [[next(results) for _ in initial] for _ in names]
    axis = nodes.constant(np.array([0]))
    of_states = [
        nodes("Concat", *(nodes("Unsqueeze", one, axis) for one in state), axis=0)
        for state in zip(*finals, strict=True)
    ]
    axis = nodes.constant(np.array([1]))
    output = nodes("Concat", *(nodes("Unsqueeze", one, axis) for one in results), axis=1)
    return output, of_states


def _flags(nodes: NodeList, x: Value, lengths: Value | None, reset: Value | None) -> tuple[Value | None, Value | None]:
    """Whether a step is valid, and whether the state is zeroed before it, both (T, B, 1) bool or None."""
    last = nodes.constant(np.array([-1]))
    valid = boundary = None
    if lengths is not None:
        count = nodes("Squeeze", nodes("Shape", x, start=0, end=1))
        steps = nodes("Range", nodes.constant(np.array(0)), count, nodes.constant(np.array(1)))
        valid = nodes("Unsqueeze", nodes("Less", nodes("Unsqueeze", steps, last), lengths), last)
    if reset is not None:
        boundary = nodes("Unsqueeze", reset, last)
        boundary = boundary if valid is None else nodes("And", boundary, valid)
    return valid, boundary


def _add(
    loop: Loop,
    step: Step,
    initial: Sequence[Value],
    flags: tuple[Value | None, Value | None],
    *,
    reverse: bool,
) -> None:
    """Add a direction, with states of (B, H) each."""
    inside = loop.inside
    states = before = [loop.carry(state, step.type) for state in initial]
    of_input = [loop.read(one, step.type, reverse=reverse) for one in step.of_input]
    boolean = ir.TensorType(ir.DataType.BOOL)
    valid, boundary = (None if flag is None else loop.read(flag, boolean, reverse=reverse) for flag in flags)
    zero = None if boundary is None else inside.constant(np.array(0, step.type.dtype.numpy()))
    if boundary is not None and not reverse:
        states = [inside("Where", boundary, zero, state) for state in before]
    new = step.new_states(inside, of_input, states)
    output = new[0]
    if valid is not None:
        zero = inside.constant(np.array(0, step.type.dtype.numpy()))
        output = inside("Where", valid, output, zero)
        new = [inside("Where", valid, after, state) for after, state in zip(new, states, strict=True)]
    if boundary is not None and reverse:
        new = [inside("Where", boundary, zero, state) for state in new]
    for state, after in zip(before, new, strict=True):
        loop.carried(state, after)
    loop.write(output, reverse=reverse)
