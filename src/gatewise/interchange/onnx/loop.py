"""Loops over the steps of sequences: the node Scan, built value by value."""

from collections.abc import Iterable, Sequence
from typing import Final

from onnxscript import ir

from gatewise.interchange.onnx.node_list import NodeList, Value

_LOOP: Final = "gatewise.loop"
"""The entry of the metadata of the nodes made here."""


class Loop:
    """A node Scan. All values inside have two dimensions, of any size.

    Attributes:
        inside: receives the nodes of the body.
    """

    def __init__(self) -> None:
        self.inside = NodeList()
        self._initial: list[Value] = []
        self._before: list[Value] = []
        self._after: dict[Value, Value] = {}
        self._sequences: list[Value] = []
        self._of_step: list[Value] = []
        self._directions: list[int] = []
        self._outputs: list[Value] = []
        self._reverse: list[int] = []

    def carry(self, initial: Value, kind: ir.TensorType) -> Value:
        """The value of a state before a step; it begins with `initial`."""
        self._initial.append(initial)
        self._before.append(_matrix(kind))
        return self._before[-1]

    def carried(self, before: Value, after: Value) -> None:
        """Say what a state is after the step."""
        # The outputs of a body differ from each other and from its inputs.
        self._after[before] = self.inside("Identity", after)

    def read(self, sequence: Value, kind: ir.TensorType, *, reverse: bool = False) -> Value:
        """The part of a step of a sequence (T, …), which is read from its end if reverse."""
        self._sequences.append(sequence)
        self._of_step.append(_matrix(kind))
        self._directions.append(int(reverse))
        return self._of_step[-1]

    def write(self, output: Value, *, reverse: bool = False) -> None:
        """Collect a value of every step in a sequence (T, …), which is filled from its end if reverse."""
        self._outputs.append(self.inside("Identity", output))
        self._reverse.append(int(reverse))

    def node(self, nodes: NodeList) -> Sequence[Value]:
        """The node: the states after the last step, then the sequences that were written."""
        graph = ir.Graph(
            [*self._before, *self._of_step],
            [*(self._after[state] for state in self._before), *self._outputs],
            nodes=self.inside.nodes,
            name="step",
        )
        results = nodes.several(
            "Scan",
            len(self._before) + len(self._outputs),
            *self._initial,
            *self._sequences,
            body=graph,
            num_scan_inputs=len(self._sequences),
            scan_input_directions=self._directions,
            scan_output_directions=self._reverse,
        )
        results[0].producer().metadata_props[_LOOP] = "1"
        return results


def name_loops(nodes: Iterable[ir.Node], prefix: str) -> None:
    """Give the values inside of the loops among nodes names that no value outside has, as ONNX requires."""
    for number, loop in enumerate(node for node in nodes if _LOOP in node.metadata_props):
        body = loop.attributes["body"].as_graph()
        inside = [*body.inputs, *body.initializers.values(), *(value for node in body for value in node.outputs)]
        for index, value in enumerate(inside):
            value.name = f"{prefix}/{number}/{index}"


def _matrix(kind: ir.TensorType) -> Value:
    return ir.Value(type=kind, shape=ir.Shape([None, None]))
