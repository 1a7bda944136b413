"""A call of a layer as a model of ONNX, without torch's exporter, which takes seconds, and run in ONNX Runtime."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import ModelProto
from onnxscript import evaluator, ir

from gatewise.interchange.onnx.loop import name_loops
from gatewise.interchange.onnx.translation import translate
from gatewise.kernels import Call


def model_of(call: Call) -> ModelProto:
    """The nodes of a call as a checked model, whose inputs are x, the initial states, lengths and reset; the weights
    are constants."""
    free, constants = _values(call)
    recorder: Any = SimpleNamespace(nodes=[])
    with evaluator.default_as(recorder):
        results = translate(
            free["x"],
            [free[f"initial_{name}"] for name in call.cell.states],
            list(constants.values()),
            free.get("lengths"),
            free.get("reset"),
            None,
            call.cell.text,
            call.directions,
            "",
        )
    output, finals = results
    outputs = [output, *finals.producer().inputs]  # a sequence, which the exporter takes apart
    nodes = [node for node in recorder.nodes if node is not finals.producer()]
    for value in outputs:
        value.type, value.shape = free["x"].type, ir.Shape([None, "B", None])
    graph = ir.Graph(
        list(free.values()),
        outputs,
        nodes=nodes,
        initializers=list(constants.values()),
        opset_imports={"": 18},
        name="call",
    )
    model = ir.Model(graph, ir_version=10)
    name_loops((node for node in graph if node.op_type == "Scan"), "loop")
    proto = ir.serde.serialize_model(model)
    onnx.checker.check_model(proto, full_check=True)
    return proto


def in_onnx_runtime(call: Call, model: ModelProto | None = None) -> list[np.ndarray]:
    """Output (T, B, D·H) and final states (D, B, H)."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    if call.x.dtype == torch.float64:  # optimised, a factor of a product is kept in float32
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    content = (model or model_of(call)).SerializeToString()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    arrays = _arrays(call)
    return session.run(None, {one.name: arrays[one.name] for one in session.get_inputs()})


def _arrays(call: Call) -> dict[str, np.ndarray]:
    given = {"x": call.x, **{f"initial_{name}": one for name, one in zip(call.cell.states, call.initial, strict=True)}}
    given |= {name: one for name, one in (("lengths", call.lengths), ("reset", call.reset)) if one is not None}
    return {name: one.detach().numpy() for name, one in given.items()}


def _values(call: Call) -> tuple[dict[str, ir.Value], dict[str, ir.Value]]:
    """The inputs, with open sizes, and the weights."""
    free = {}
    for name, array in _arrays(call).items():
        sizes = {"x": ("T", "B", None), "lengths": ("B",), "reset": ("T", "B")}.get(name, (None, "B", None))
        shape = ir.Shape([number if size is None else size for size, number in zip(sizes, array.shape, strict=True)])
        kind = ir.TensorType(ir.DataType.from_numpy(array.dtype))
        free[name] = ir.Value(name=name, shape=shape, type=kind)
    constants = {}
    for index, weight in enumerate(call.parameters):
        name = f"weight_{index}"
        tensor = ir.tensor(weight.detach().numpy(), name=name)
        constants[name] = ir.Value(name=name, shape=tensor.shape, type=free["x"].type, const_value=tensor)
    return free, constants
