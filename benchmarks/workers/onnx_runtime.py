"""ONNX Runtime: one operator of the ONNX standard per cell, with the weights as constants of the model."""

from collections.abc import Callable
from typing import Any

import numpy
import onnx  # pyright: ignore[reportMissingImports]
import onnxruntime  # pyright: ignore[reportMissingImports]
from onnx import TensorProto, helper, numpy_helper  # pyright: ignore[reportMissingImports]

from benchmarks.workers.request import Prepared, Refusal, Request

Parameters = dict[str, numpy.ndarray]


def version() -> str:
    """Name and version."""
    return f"onnxruntime {onnxruntime.__version__}"


def prepare(request: Request, threads: int) -> Prepared | Refusal:
    """A session for a request."""
    if request.training:
        return Refusal("onnxruntime does not train")
    if request.cell not in FORMS:
        return Refusal(f"ONNX has no operator for {request.cell or 'cells of your own'}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Its threads spin while they wait within a run, but not on into the next contender's turn.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    content = model(request).SerializeToString()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    feed = {"X": request.x}
    initial = {one.name: numpy.zeros(one.shape, numpy.float32) for one in session.get_inputs()[1:]}
    step_feeds = [{"X": request.x[t : t + 1]} for t in range(len(request.x))]

    def call() -> Any:
        return session.run(["Y"], feed)[0]

    def call_steps() -> Any:
        outputs, states = [], initial
        for of_step in step_feeds:
            output, *following = session.run(None, of_step | states)
            outputs.append(output)
            states = dict(zip(states, following, strict=True))
        return numpy.concatenate(outputs)

    def compute() -> list[numpy.ndarray]:
        steps, directions, batch, hidden = (output := called()).shape
        return [output.transpose(0, 2, 1, 3).reshape(steps, batch, directions * hidden)]

    called = call_steps if request.stream else call
    return Prepared(compute, called, lambda: None)


def model(request: Request) -> onnx.ModelProto:
    """The ONNX model of one layer, from X (T, B, I) to Y (T, D, B, H); of a stream of one step, with its states."""
    assert request.cell is not None
    operator, attributes, arrange = FORMS[request.cell]
    directions = [arrange(parameters) for parameters in request.parameters]
    inputs = {name: numpy.stack([direction[name] for direction in directions]) for name in directions[0]}
    hidden = inputs["R"].shape[-1]
    steps, batch, width = request.x.shape
    states = STATES[operator] if request.stream else ()
    given = [*inputs, *(f"initial_{name}" for name in states)]
    positions = ("W", "R", "B", "", "initial_h", "initial_c", "P")
    order = ["X", *(name if name in given else "" for name in positions)]
    while not order[-1]:
        order.pop()

    def value(name: str, *shape: int) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    node = helper.make_node(
        operator,
        order,
        ["Y", *(f"Y_{name}" for name in states)],
        hidden_size=hidden,
        direction="bidirectional" if len(directions) > 1 else "forward",
        **attributes,
    )
    count, size = 1 if request.stream else steps, (len(directions), batch, hidden)
    graph = helper.make_graph(
        [node],
        "layer",
        [value("X", count, batch, width), *(value(f"initial_{name}", *size) for name in states)],
        [value("Y", count, *size), *(value(f"Y_{name}", *size) for name in states)],
        [numpy_helper.from_array(numpy.ascontiguousarray(array), name) for name, array in inputs.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)])
    made.ir_version = 8
    onnx.checker.check_model(made)
    return made


def _gates(array: numpy.ndarray, ours: str, theirs: str) -> numpy.ndarray:
    """Blocks stacked in our order of gates, in theirs."""
    blocks = dict(zip(ours, numpy.split(array, len(ours)), strict=True))
    return numpy.concatenate([blocks[gate] for gate in theirs])


def _arranged(parameters: Parameters, ours: str, theirs: str) -> Parameters:
    W, R, b = (_gates(parameters[group], ours, theirs) for group in ("W", "R", "b"))
    d = _gates(parameters["d"], ours, theirs) if "d" in parameters else numpy.zeros_like(b)
    return {"W": W, "R": R, "B": numpy.concatenate([b, d])}


def _lstm(parameters: Parameters) -> Parameters:
    arranged = _arranged(parameters, "ifgo", "iofg")
    return {**arranged, "P": _gates(parameters["p"], "ifo", "iof")} if "p" in parameters else arranged


def _gru(parameters: Parameters) -> Parameters:
    return _arranged(parameters, "rzn", "zrn")


def _gru_z_admits(parameters: Parameters) -> Parameters:
    """ONNX's z keeps the old state: its σ(−a) is 1 − σ(a)."""
    arranged = _gru(parameters)
    hidden = arranged["R"].shape[-1]
    for array in (arranged["W"], arranged["R"], arranged["B"][: 3 * hidden]):
        array[:hidden] *= -1
    return arranged


def _rnn(parameters: Parameters) -> Parameters:
    return _arranged(parameters, "a", "a")


# Of each operator, as in the names of its inputs and outputs.
STATES = {"LSTM": ("h", "c"), "GRU": ("h",), "RNN": ("h",)}
# Per cell: the operator, its attributes, and how its weights are arranged.
FORMS: dict[str, tuple[str, dict[str, Any], Callable[[Parameters], Parameters]]] = {
    "lstm": ("LSTM", {}, _lstm),
    "peephole_lstm": ("LSTM", {}, _lstm),
    "gru_cudnn": ("GRU", {"linear_before_reset": 1}, _gru),
    "gru_cho2014": ("GRU", {"linear_before_reset": 0}, _gru),
    "gru_chung2014": ("GRU", {"linear_before_reset": 0}, _gru_z_admits),
    "rnn_tanh": ("RNN", {"activations": ["Tanh"]}, _rnn),
    "rnn_relu": ("RNN", {"activations": ["Relu"]}, _rnn),
}
