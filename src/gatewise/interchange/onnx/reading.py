"""Models read from files or memory, and their recurrent nodes."""

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import ModelProto, NodeProto, TensorProto
from onnx.inliner import inline_local_functions
from torch import Tensor

from gatewise.interchange.onnx.conventions import OPERATORS
from gatewise.interchange.onnx.graph import (
    Found,
    Model,
    Scope,
    Value,
    check_node,
    check_texts,
    is_recurrent,
    is_standard,
    one_line,
    recurrent_nodes,
)


def read_model(
    model: ModelProto | NodeProto | str | PathLike[str], initializers: Mapping[str, Any] | None
) -> tuple[dict[str, Found], Model]:
    """The recurrent nodes of a model by name; `from_onnx` documents arguments and errors."""
    given = {name: _given(name, value) for name, value in (initializers or {}).items()}
    if isinstance(model, NodeProto):
        check_node(model)
        if not is_recurrent(model):
            raise ValueError(
                f"model: expected a node {', '.join(OPERATORS)}, got {model.op_type or 'one of no operator'}"
            )
        name = model.name or next((output for output in model.output if output), model.op_type)
        found = Found(name, model, Scope(given, {}, inputs=None))
        return {name: found}, Model({"": onnx.defs.onnx_opset_version()}, None)
    if isinstance(model, ModelProto):
        return _nodes(model, given, None)
    if isinstance(model, str | PathLike):
        return _nodes(_read(Path(model)), given, Path(model).parent)
    raise TypeError(f"model: expected a ModelProto, a NodeProto or a path, got {type(model).__name__}")


def _nodes(model: ModelProto, given: Mapping[str, Value], folder: Path | None) -> tuple[dict[str, Found], Model]:
    if model.functions:
        try:
            model = inline_local_functions(model)
        except Exception as error:
            raise ValueError(f"the functions of the model cannot be inlined: {one_line(error)}") from error
    check_texts(one.domain for one in model.opset_import)
    opsets = {"" if one.domain == "ai.onnx" else one.domain: one.version for one in model.opset_import}
    found: dict[str, Found] = {}
    for node in recurrent_nodes(model.graph, given):
        if node.name in found:
            raise ValueError(f"two nodes have the name {node.name!r}; rename one")
        found[node.name] = node
    if not found:
        operators = ", ".join(sorted({_operator(node) for node in model.graph.node})) or "no nodes"
        raise ValueError(f"the graph has no node {', '.join(OPERATORS)}; it has {operators:.200}")
    return found, Model({"": onnx.defs.onnx_opset_version()} | opsets, folder)


def _operator(node: NodeProto) -> str:
    return node.op_type if is_standard(node) else f"{node.op_type} of {node.domain}"


def _read(path: Path) -> ModelProto:
    content = path.read_bytes()
    try:
        return onnx.load_model_from_string(content)
    except Exception as error:  # protobuf has errors of several classes
        raise ValueError(f"not an ONNX model, or a damaged one: {one_line(error)}") from error


def _given(name: str, value: Any) -> Value:
    if isinstance(value, TensorProto):
        return value
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        if value.dtype is torch.bfloat16:  # a type that numpy has by an extension only, onnx's own
            bits = value.contiguous().view(torch.int16).numpy()
            return bits.view(onnx.helper.tensor_dtype_to_np_dtype(TensorProto.BFLOAT16))
        return value.numpy()
    try:
        return np.asarray(value)
    except (ValueError, TypeError) as error:
        raise ValueError(f"initializers: {name!r} is not an array: {one_line(error)}") from error
