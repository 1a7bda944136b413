"""Nodes of a graph of ONNX, recorded one by one."""

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import numpy as np
from onnxscript import evaluator, ir

Value: TypeAlias = Any  # of the graph that torch's exporter builds; only it and onnxscript know their class

OF_WEIGHTS: Final = "gatewise.weights"
"""The entry of the metadata of nodes that arrange weights, which are to be folded into constants however large."""


class NodeList:
    """Nodes in the order in which they were made; a call makes one and returns its output."""

    def __init__(self) -> None:
        self._tape = ir.tape.Tape()

    @property
    def nodes(self) -> Sequence[ir.Node]:
        """The nodes."""
        return self._tape.nodes

    def __call__(self, operator: str, *inputs: Value, **attributes: Any) -> Value:
        return self._tape.op(operator, inputs, attributes)

    def several(self, operator: str, count: int, *inputs: Value, **attributes: Any) -> Sequence[Value]:
        """A node with several outputs."""
        return self._tape.op_multi_out(operator, inputs, attributes, num_outputs=count)

    def of_weights(self, operator: str, *inputs: Value, **attributes: Any) -> Value:
        """A node that arranges weights."""
        return self._tape.op(operator, inputs, attributes, metadata_props={OF_WEIGHTS: "1"})

    def record(self) -> None:
        """Add the nodes to those that torch's exporter records while it translates an operator."""
        recorder: Any = evaluator.default()
        recorder.nodes.extend(self.nodes)

    def constant(self, array: np.ndarray) -> Value:
        """A constant."""
        return self("Constant", value=ir.tensor(array))
