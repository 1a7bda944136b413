"""A layer as a loop of ONNX: a node Scan whose body is one step of the cell, in one direction or both."""

from collections.abc import Iterable, Sequence

import numpy as np
from onnxscript import ir

from gatewise.equations import Cell
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
    body = _Body()
    names = ("forward", "reverse") if directions == "bidirectional" else (directions,)
    for index, name in enumerate(names):
        tensors = dict(zip(cell.groups, parameters[index * len(cell.groups) :], strict=False))
        states = [nodes("Gather", state, nodes.constant(np.array(index)), axis=0) for state in initial]
        body.add(cell, Step(cell, tensors, x, nodes), states, flags, reverse=name == "reverse")
    results = iter(body.loop(nodes))
    finals = [[next(results) for _ in initial] for _ in names]
    axis = nodes.constant(np.array([0]))
    of_states = [
        nodes("Concat", *(nodes("Unsqueeze", one, axis) for one in state), axis=0)
        for state in zip(*finals, strict=True)
    ]
    axis = nodes.constant(np.array([1]))
    output = nodes("Concat", *(nodes("Unsqueeze", one, axis) for one in results), axis=1)
    return output, of_states


def name_loops(loops: Iterable[ir.Node]) -> None:
    """Give the values inside of loops names that no value outside has, as ONNX requires."""
    for number, loop in enumerate(loops):
        body = loop.attributes["body"].as_graph()
        inside = [*body.inputs, *body.initializers.values(), *(value for node in body for value in node.outputs)]
        for index, value in enumerate(inside):
            value.name = f"step/{number}/{index}"


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


def _matrix(kind: ir.TensorType) -> Value:
    """A value of two dimensions of any size."""
    return ir.Value(type=kind, shape=ir.Shape([None, None]))


class _Body:
    """The body of a Scan, built one direction at a time."""

    def __init__(self) -> None:
        self._inside = NodeList()
        self._initial: list[Value] = []  # of the states of all directions
        self._before: list[Value] = []  # the states inside
        self._after: list[Value] = []
        self._sequences: list[Value] = []  # what is read step by step
        self._of_step: list[Value] = []  # the same inside
        self._directions: list[int] = []
        self._outputs: list[Value] = []
        self._reverse: list[int] = []

    def add(
        self,
        cell: Cell,
        step: Step,
        initial: Sequence[Value],
        flags: tuple[Value | None, Value | None],
        *,
        reverse: bool,
    ) -> None:
        """Add a direction, with states of (B, H) each."""
        inside = self._inside
        before = [_matrix(step.type) for _ in cell.states]
        of_input = [self._read(one, step.type, reverse) for one in step.of_input]
        boolean = ir.TensorType(ir.DataType.BOOL)
        valid, boundary = (None if flag is None else self._read(flag, boolean, reverse) for flag in flags)
        zero = None if boundary is None else inside.constant(np.array(0, step.type.dtype.numpy()))
        states: list[Value] = list(before)
        if boundary is not None and not reverse:
            states = [inside("Where", boundary, zero, state) for state in states]
        new = step.new_states(inside, of_input, states)
        output = new[0]
        if valid is not None:
            zero = inside.constant(np.array(0, step.type.dtype.numpy()))
            output = inside("Where", valid, output, zero)
            new = [inside("Where", valid, after, state) for after, state in zip(new, states, strict=True)]
        if boundary is not None and reverse:
            new = [inside("Where", boundary, zero, state) for state in new]
        self._initial += initial
        self._before += before
        # The outputs of a body differ from each other and from its inputs.
        self._after += [inside("Identity", state) for state in new]
        self._outputs.append(inside("Identity", output))
        self._reverse.append(int(reverse))

    def _read(self, sequence: Value, kind: ir.TensorType, reverse: bool) -> Value:
        self._sequences.append(sequence)
        self._of_step.append(_matrix(kind))
        self._directions.append(int(reverse))
        return self._of_step[-1]

    def loop(self, nodes: NodeList) -> Sequence[Value]:
        """The node: the final states (B, H) of all directions, then the output (T, B, H) of each."""
        graph = ir.Graph(
            [*self._before, *self._of_step],
            [*self._after, *self._outputs],
            nodes=self._inside.nodes,
            name="step",
        )
        return nodes.several(
            "Scan",
            len(self._after) + len(self._outputs),
            *self._initial,
            *self._sequences,
            body=graph,
            num_scan_inputs=len(self._sequences),
            scan_input_directions=self._directions,
            scan_output_directions=self._reverse,
        )
