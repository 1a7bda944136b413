"""One recurrent node as a layer with its weights and initial states."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gatewise.interchange.onnx.attributes import Attributes, read_attributes
from gatewise.interchange.onnx.conventions import OPERATORS, Operator
from gatewise.interchange.onnx.directions import BidirectionalPair, layer_of
from gatewise.interchange.onnx.folding import NotConstantError, constant, is_zero
from gatewise.interchange.onnx.graph import Found, Model
from gatewise.interchange.onnx.importing import Layer, States
from gatewise.interchange.onnx.templates import Equations
from gatewise.interchange.onnx.weights import Weights, as_tensor, load_blocks, read_weights

_REQUIRED = ("X", "W", "R")
_WEIGHTS = ("W", "R", "B", "P")


def import_node(found: Found, model: Model) -> tuple[Layer, States, Tensor | None, dict[str, str]]:
    """The fields of an `ImportedNode`.

    Raises:
        ValueError: beginning with the node's operator and name.
    """
    node, operator = found.node, OPERATORS[found.node.op_type]
    try:
        if len(node.input) > len(operator.inputs):
            raise ValueError(f"expected at most {len(operator.inputs)} inputs, got {len(node.input)}")
        names = {name: value for name, value in zip(operator.inputs, node.input, strict=False) if value}
        for name in _REQUIRED:
            if name not in names:
                raise ValueError(f"{name}: this input is required")
        return _import(operator, read_attributes(node, operator), _Inputs(names, found, model))
    except ValueError as error:
        raise ValueError(f"{node.op_type} node {found.name!r}: {error}") from error


@dataclass(frozen=True)
class _Inputs:
    """The inputs of a node: names of values of the graph by the name of the input, absent ones left out."""

    names: dict[str, str]
    found: Found
    model: Model

    def constant(self, name: str) -> np.ndarray:
        """The value of an input.

        Raises:
            NotConstantError, ValueError: beginning with the name of the input.
        """
        try:
            return constant(self.names[name], self.found.scope, self.model)
        except NotConstantError as error:
            message = f"{name}: expected a constant, and {error}; its value can be given by initializers="
            raise NotConstantError(message) from None
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error

    def constant_or_none(self, name: str) -> np.ndarray | None:
        """The value of an input; None where it is absent, or not constant."""
        try:
            return self.constant(name) if name in self.names else None
        except NotConstantError:
            return None

    def varies(self, name: str) -> bool:
        """Whether an input is present and has neither a constant value nor zeros of any shape."""
        if name not in self.names or self.constant_or_none(name) is not None:
            return False
        return not is_zero(self.names[name], self.found.scope, self.model)


def _import(
    operator: Operator, attributes: Attributes, inputs: _Inputs
) -> tuple[Layer, States, Tensor | None, dict[str, str]]:
    arrays = {name: inputs.constant(name) for name in _WEIGHTS if name in inputs.names}
    weights = read_weights(operator, arrays, attributes.direction_count, attributes.hidden_size)
    layer = _layer(operator, attributes, weights)
    names = [f"initial_{state}" for state in operator.states]
    varying = [name for name in ("sequence_lens", *names) if inputs.varies(name)]
    given = [_state(name, inputs.constant_or_none(name), attributes, weights) for name in names]
    states = _as_hx(dict(zip(names, given, strict=True)), varying)
    lengths = _lengths(inputs.constant_or_none("sequence_lens"))
    return layer, states, lengths, {name: inputs.names[name] for name in ("X", *varying)}


def _lengths(array: np.ndarray | None) -> Tensor | None:
    if array is None:
        return None
    if array.ndim != 1 or array.dtype.kind not in "iu" or np.any(array < 0):
        raise ValueError(f"sequence_lens: expected (batch,) integers of at least 0, got {_described(array)}")
    return torch.from_numpy(array.astype(np.int64))


def _state(name: str, array: np.ndarray | None, attributes: Attributes, weights: Weights) -> Tensor | None:
    """A constant initial state as (D, B, H); None for zero and where it is not constant."""
    if array is None:
        return None
    if array.ndim != 3:
        raise ValueError(f"{name}: expected three dimensions, got {_described(array)}")
    state = array.swapaxes(0, 1) if attributes.batch_first else array
    expected = (attributes.direction_count, state.shape[1], weights.hidden_size)
    if state.shape != expected or array.dtype.name != str(weights.dtype).removeprefix("torch."):
        letters = "(batch, directions, hidden_size)" if attributes.batch_first else "(directions, batch, hidden_size)"
        raise ValueError(
            f"{name}: expected {letters} with {expected[0]} and {expected[2]} and the type of W, "
            f"got {_described(array)}"
        )
    return as_tensor(state) if np.any(state) else None


def _as_hx(states: dict[str, Tensor | None], varying: list[str]) -> States:
    given = next((state for state in states.values() if state is not None), None)
    if given is None:
        return None
    filled = tuple(
        torch.zeros_like(given) if state is None and name not in varying else state for name, state in states.items()
    )
    return filled if len(filled) > 1 else given


def _layer(operator: Operator, attributes: Attributes, weights: Weights) -> Layer:
    groups = {block.group for block in weights.blocks[0]}
    cells = [
        Equations(
            operator.name,
            activations,
            bias="b" in groups,
            peepholes="p" in groups,
            coupled=attributes.coupled,
            linear_before_reset=attributes.linear_before_reset,
            clip=attributes.clip,
        ).cell()
        for activations in attributes.activations
    ]
    options = {"bias": "b" in groups, "batch_first": attributes.batch_first}
    sizes = (weights.input_size, weights.hidden_size, weights.dtype)
    if len(set(cells)) == 1:
        directions = {"bidirectional": {"bidirectional": True}, "reverse": {"reverse": True}, "forward": {}}
        parts = [layer_of(cells[0], *sizes, **options, **directions[attributes.direction])]
        layer: Layer = parts[0]
    else:
        parts = [layer_of(cells[0], *sizes, **options), layer_of(cells[1], *sizes, reverse=True, **options)]
        layer = BidirectionalPair(*parts)
    of_parts = [weights.blocks] if len(parts) == 1 else [[blocks] for blocks in weights.blocks]
    for part, blocks in zip(parts, of_parts, strict=True):
        load_blocks(part, blocks)
    return layer


def _described(array: np.ndarray) -> str:
    return f"{array.dtype.name} {array.shape}"
