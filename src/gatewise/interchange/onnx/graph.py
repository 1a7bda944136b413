"""The recurrent nodes of a model, those of subgraphs too, each with the values that it can see."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from onnx import AttributeProto, GraphProto, NodeProto, TensorProto

from gatewise.interchange.onnx.conventions import OPERATORS

Value = TensorProto | np.ndarray


@dataclass(frozen=True)
class Scope:
    """The values of a graph by name; a subgraph also sees those of the graph around it.

    Attributes:
        constants: initializers.
        producers: the node that computes a value.
        inputs: names of the inputs without a constant value; None for a single node, where every other name is one.
        outer: the scope around it.
    """

    constants: Mapping[str, Value]
    producers: Mapping[str, NodeProto]
    inputs: frozenset[str] | None
    outer: "Scope | None" = None

    def find(self, name: str) -> Value | NodeProto | None:
        """The constant, or the node that computes a value; None for an input.

        Raises:
            ValueError: when the graph has no such value.
        """
        scope: Scope | None = self
        while scope is not None:
            if name in scope.constants:
                return scope.constants[name]
            if name in scope.producers:
                return scope.producers[name]
            if scope.inputs is None or name in scope.inputs:
                return None
            scope = scope.outer
        raise ValueError(f"the graph has no value {name!r:.60}")


@dataclass(frozen=True)
class Model:
    """What evaluating constants needs to know of a model.

    Attributes:
        opsets: version by domain.
        folder: the one that external data are relative to; None for a model in memory.
    """

    opsets: Mapping[str, int]
    folder: Path | None


@dataclass(frozen=True)
class Found:
    """A recurrent node of a graph, by a name that identifies it."""

    name: str
    node: NodeProto
    scope: Scope


def check_node(node: NodeProto) -> None:
    """Raise a ValueError unless all names of a node are texts."""
    check_texts((node.op_type, node.domain, node.name, *node.input, *node.output))
    check_texts(attribute.name for attribute in node.attribute)


def check_texts(values: Iterable[object]) -> None:
    """Raise a ValueError unless all are texts; protobuf has bytes where they are not valid UTF-8."""
    for value in values:
        if not isinstance(value, str):
            raise ValueError(f"a name in the graph is not valid UTF-8: {value!r:.60}")


def is_recurrent(node: NodeProto) -> bool:
    """Whether a node is one of ONNX's recurrent operators."""
    return node.op_type in OPERATORS and is_standard(node)


def is_standard(node: NodeProto) -> bool:
    """Whether a node is of ONNX's own operators."""
    return node.domain in ("", "ai.onnx")


def recurrent_nodes(graph: GraphProto, given: Mapping[str, Value], outer: Scope | None = None) -> Iterator[Found]:
    """The recurrent nodes of a graph and of its subgraphs, in order.

    A node is named by its name, or by its first output where it has none or shares it with another; one in a subgraph
    as ``node/attribute/name``.

    Args:
        graph: the graph.
        given: more constants by name, which take precedence over those of the graph.
        outer: the scope around it.

    Raises:
        ValueError: for a name that is not a text.
    """
    check_texts(value.name for value in (*graph.initializer, *graph.input))
    for node in graph.node:
        check_node(node)
    constants = {tensor.name: tensor for tensor in graph.initializer} | dict(given)
    producers = {name: node for node in graph.node for name in node.output if name}
    inputs = frozenset(value.name for value in graph.input) - constants.keys()
    scope = Scope(constants, producers, inputs, outer)
    names = Counter(node.name for node in graph.node)
    for node in graph.node:
        first = next((name for name in node.output if name), "")
        name = node.name if node.name and names[node.name] == 1 else first or node.name or node.op_type
        if is_recurrent(node):
            yield Found(name, node, scope)
        for attribute in node.attribute:
            bodies = [attribute.g] if attribute.type == AttributeProto.GRAPH else attribute.graphs
            for body in bodies:
                for found in recurrent_nodes(body, given, scope):
                    yield Found(f"{name}/{attribute.name}/{found.name}", found.node, found.scope)


def one_line(error: Exception) -> str:
    """An error of another library, on one line of moderate length."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
