"""The values of a graph that do not depend on its inputs, evaluated by ONNX's own reference implementation."""

from collections.abc import Callable

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from gatewise.interchange.onnx.graph import Model, Scope, Value, is_standard, one_line

# Evaluated twice they give two results, so what they compute is not a constant.
_RANDOM = frozenset(
    {"Bernoulli", "Dropout", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
)
# These make zeros of zeros, whatever their other inputs are.
_MOVES = frozenset(
    {"Cast", "Expand", "Gather", "Identity", "Reshape", "Slice", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze"}
)


class NotConstantError(ValueError):
    """A value depends on an input of the graph; the message says how."""


def constant(name: str, scope: Scope, model: Model) -> np.ndarray:
    """The value of a name.

    Raises:
        NotConstantError: when it depends on an input of the graph, or on something that is not evaluated.
        ValueError: when it cannot be read or evaluated.
    """
    nodes, leaves = _ancestors(name, scope)
    arrays = {leaf: to_array(leaf, value, model) for leaf, value in leaves.items()}
    if not nodes:
        return arrays[name]
    inputs = [helper.make_empty_tensor_value_info(leaf) for leaf in arrays]
    graph = helper.make_graph(nodes, "constants", inputs, [helper.make_empty_tensor_value_info(name)])
    try:
        found = ReferenceEvaluator(graph, opsets=dict(model.opsets)).run(None, arrays)
    except Exception as error:
        operators = ", ".join(dict.fromkeys(node.op_type for node in nodes))
        raise ValueError(f"{name!r} cannot be evaluated ({operators}): {one_line(error)}") from error
    value: object = next(iter(found), None) if isinstance(found, list) else None
    if not isinstance(value, np.ndarray):
        raise ValueError(f"{name!r} is not a tensor: {type(value).__name__}")
    return value


def is_zero(name: str, scope: Scope, model: Model) -> bool:
    """Whether a value is zero in all elements, even where its shape depends on inputs of the graph."""
    pending, seen = [name], set[str]()
    while pending:
        current = pending.pop()
        if current in seen:
            continue
        seen.add(current)
        found = scope.find(current)
        if found is None:
            return False
        if not isinstance(found, NodeProto):
            if np.any(to_array(current, found, model)):
                return False
        elif is_standard(found) and found.op_type in _MOVES and found.input:
            pending.append(found.input[0])
        elif is_standard(found) and found.op_type == "Concat":
            pending.extend(found.input)
        elif is_standard(found) and found.op_type == "ConstantOfShape":
            values = [to_array("value", attribute.t, model) for attribute in found.attribute]
            if any(np.any(value) for value in values):
                return False
        else:
            try:
                if np.any(constant(current, scope, model)):
                    return False
            except NotConstantError:
                return False
    return True


def to_array(name: str, value: Value, model: Model) -> np.ndarray:
    """A tensor of a model as an array.

    Raises:
        ValueError: when it is malformed, or its external data cannot be read.
    """
    if isinstance(value, np.ndarray):
        return value
    external = value.data_location == TensorProto.EXTERNAL
    if external and model.folder is None:
        raise ValueError(f"{name!r} is stored in another file; pass the path of the model, or load it with onnx.load")
    try:
        return numpy_helper.to_array(value, base_dir=str(model.folder or ""))
    except Exception as error:
        what = "its external data" if external else "a tensor of the model"
        raise ValueError(f"{name!r} cannot be read, {what}: {one_line(error)}") from error


def _tensor(node: NodeProto) -> TensorProto | None:
    """The tensor of a node Constant, which may be stored in another file; None for any other node."""
    if not is_standard(node) or node.op_type != "Constant":
        return None
    return next((attribute.t for attribute in node.attribute if attribute.name == "value"), None)


def _ancestors(name: str, scope: Scope) -> tuple[list[NodeProto], dict[str, Value]]:
    """The nodes that compute a value, in order, and the constants that they read."""
    order: list[NodeProto] = []
    leaves: dict[str, Value] = {}
    done: set[str] = set()
    active: set[str] = set()
    pending: list[tuple[str, Callable[[], None] | None]] = [(name, None)]
    while pending:
        current, finish = pending.pop()
        if finish is not None:
            finish()
            continue
        if current in done:
            continue
        found = scope.find(current)
        if found is None:
            raise NotConstantError(f"{current!r} is an input of the graph")
        tensor = _tensor(found) if isinstance(found, NodeProto) else found
        if tensor is not None:
            leaves[current] = tensor
            done.add(current)
            continue
        assert isinstance(found, NodeProto)
        if current in active:
            raise ValueError(f"{current!r} depends on itself; the graph has a cycle")
        if found.op_type in _RANDOM or any(one.HasField("g") or one.graphs for one in found.attribute):
            raise NotConstantError(f"{current!r} is computed by {found.op_type}, which is not evaluated")

        active.add(current)

        def close(node: NodeProto = found) -> None:
            order.append(node)
            active.difference_update(node.output)
            done.update(node.output)

        pending.append((current, close))
        pending.extend((one, None) for one in found.input if one)
    return list({id(node): node for node in order}.values()), leaves
