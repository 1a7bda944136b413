"""What `from_onnx` returns, for models of every shape."""

import copy
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper, parser

import gatewise
from gatewise.interchange.onnx import BidirectionalPair
from gatewise.layers import GRU, LSTM, RNN, PeepholeLSTM, Recurrent
from tests.interchange.onnx.configurations import Configuration, assert_agrees

SIX = ("HardSigmoid", "Elu", "Softsign", "Sigmoid", "Tanh", "Tanh")


def imported(config: Configuration) -> Any:
    (found,) = gatewise.from_onnx(config.model()).values()
    return found


def of_nodes(config: Configuration, nodes: list[NodeProto], weights: dict[str, np.ndarray], **model: Any) -> ModelProto:
    """A model with more nodes before the recurrent one, and these initializers."""
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("X", "free")]
    graph = helper.make_graph(
        [*nodes, config.node],
        "graph",
        inputs,
        [helper.make_tensor_value_info("Y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", config.opset)], **model)


@pytest.mark.parametrize(
    ("config", "layer_class", "cell"),
    [
        (Configuration("LSTM"), LSTM, "lstm"),
        (Configuration("LSTM", peepholes=True), PeepholeLSTM, "peephole_lstm"),
        (Configuration("GRU"), GRU, "gru_cho2014"),
        (Configuration("GRU", linear_before_reset=True), GRU, "gru_cudnn"),
        (Configuration("RNN"), RNN, "rnn_tanh"),
        (Configuration("RNN", activations=("Relu",)), RNN, "rnn_relu"),
        (Configuration("RNN", activations=("sigmoid",)), RNN, "rnn_sigmoid"),
        (Configuration("RNN", activations=("LeakyRelu",), alphas=(0.01,)), RNN, "rnn_leaky_relu"),
        (Configuration("RNN", activations=("LeakyRelu",), alphas=(0.02,)), Recurrent, "onnx_rnn_leakyrelu"),
        (Configuration("LSTM", input_forget=True), Recurrent, "onnx_lstm_coupled"),
        (Configuration("LSTM", clip=3.0, peepholes=True), Recurrent, "onnx_lstm_peephole_clipped"),
        (Configuration("LSTM", clip=float(np.finfo(np.float32).max)), LSTM, "lstm"),
        (
            Configuration("GRU", activations=("HardSigmoid", "Tanh"), linear_before_reset=True),
            Recurrent,
            "onnx_gru_linear_before_reset_hardsigmoid_tanh",
        ),
    ],
    ids=str,
)
def test_cells(config: Configuration, layer_class: type, cell: str) -> None:
    layer = imported(config).layer
    assert type(layer) is layer_class
    assert layer.cell.name == cell


@pytest.mark.parametrize("bias", [True, False])
def test_weights_are_reordered_exactly(bias: bool) -> None:
    config = Configuration("LSTM", bias=bias)
    layer = imported(config).layer
    stored = {name: dict(zip("iofg", np.split(config.arrays[name][0], 4), strict=True)) for name in "WR"}
    for name, parameter in (("W", layer.weight_ih_l0), ("R", layer.weight_hh_l0)):
        np.testing.assert_array_equal(parameter.detach(), np.concatenate([stored[name][gate] for gate in "ifgo"]))
    assert layer.bias is bias
    assert hasattr(layer, "bias_ih_l0") is bias


def test_states_and_lengths() -> None:
    config = Configuration("LSTM", direction="bidirectional", rows=3, lengths=(4, 0, 2), initial=(True, True), layout=1)
    found = imported(replace(config, constant=True))
    layer, states = found
    assert layer.batch_first
    assert found.inputs == {"X": "X"}
    assert found.lengths.tolist() == [4, 0, 2]
    for name, state in zip(("initial_h", "initial_c"), states, strict=True):
        np.testing.assert_array_equal(state, config.arrays[name])
    found = imported(config)
    names = ("X", "sequence_lens", "initial_h", "initial_c")
    assert found.inputs == {name: name for name in names}
    assert (found.states, found.lengths) == (None, None)


def test_one_state_is_constant() -> None:
    config = Configuration("LSTM", initial=(True, True))
    (found,) = gatewise.from_onnx(config.model(), {"initial_c": config.arrays["initial_c"]}).values()
    h, c = found.states
    assert h is None
    np.testing.assert_array_equal(c, config.arrays["initial_c"])
    assert found.inputs == {"X": "X", "initial_h": "initial_h"}
    config = replace(config, initial=(True, False), constant=True)
    h, c = imported(config).states
    np.testing.assert_array_equal(h, config.arrays["initial_h"])
    assert not c.any()


ZEROS = """
    shape = Shape (X)
    one = Constant <value_ints: ints = [1]> ()
    batch = Slice (shape, one, two)
    dimensions = Concat <axis = 0> (one, batch, width)
"""


@pytest.mark.parametrize(
    ("maker", "is_zero"),
    [
        ("initial_h = ConstantOfShape (dimensions)", True),
        ("initial_h = ConstantOfShape <value = float[1] {1.0}> (dimensions)", False),
        ("zero = Constant <value_float: float = 0.0> ()\n initial_h = Expand (zero, dimensions)", True),
        ("one_half = Constant <value_float: float = 0.5> ()\n initial_h = Expand (one_half, dimensions)", False),
        ("initial_h = Expand (half, dimensions)", False),
        ("initial_h = RandomNormal <shape: ints = [1, 2, 4], scale: float = 0.0> ()", False),
        ("initial_h = Identity (free)", False),
    ],
)
def test_zero_states_of_any_batch(maker: str, is_zero: bool) -> None:
    config = Configuration("GRU", initial=(True, False))
    text = f"g (float[T, B, 3] X, float[1, 2, 4] free) => (float[1, 2, 4] initial_h) {{ {ZEROS} {maker} }}"
    nodes = list(parser.parse_graph(text).node)
    weights = {name: config.arrays[name] for name in "WRB"} | {
        "two": np.array([2]),
        "width": np.array([4]),
        "half": np.array(0.5, "f"),
    }
    (found,) = gatewise.from_onnx(of_nodes(config, nodes, weights)).values()
    assert found.states is None
    assert ("initial_h" not in found.inputs) is is_zero


FOLDED = {
    7: """
        W_0 = Slice <starts: ints = [0], ends: ints = [16]> (W_stored)
        W_1 = Cast <to: int = 1> (W_0)
        W_2 = Unsqueeze <axes: ints = [0]> (W_1)
        W_3 = Squeeze <axes: ints = [0]> (W_2)
        W_4 = Unsqueeze <axes: ints = [0]> (W_3)
        W_5 = Identity (W_4)
        W_6 = Transpose <perm: ints = [0, 2, 1]> (W_5)
        W = Transpose <perm: ints = [0, 2, 1]> (W_6)
        R_0, R_1 = Split <axis: int = 0> (R_stored)
        R_2 = Concat <axis: int = 0> (R_0, R_1)
        shape = Constant <value: tensor = int64[3] {1, 16, 4}> ()
        R = Reshape (R_2, shape)
    """,
    13: """
        zero = Constant <value_ints: ints = [0]> ()
        W_0 = Slice (W_stored, zero, rows, zero)
        W_1 = Cast <to: int = 1> (W_0)
        W_2 = Unsqueeze (W_1, zero)
        W_3 = Squeeze (W_2, zero)
        W = Unsqueeze (W_3, zero)
        R_0, R_1 = Split <axis: int = 0> (R_stored)
        R_2 = Concat <axis: int = 0> (R_0, R_1)
        shape = Constant <value_ints: ints = [1, 16, 4]> ()
        R = Reshape (R_2, shape)
    """,
    22: """
        zero = Constant <value_ints: ints = [0]> ()
        scale = Constant <value_float: float = 0.5> ()
        W_0 = Slice (W_stored, zero, rows, zero)
        W_1 = Unsqueeze (W_0, zero)
        W = Cast <to: int = 1> (W_1)
        R_0 = DequantizeLinear (R_quantised, scale)
        shape = Constant <value_ints: ints = [1, 16, 4]> ()
        R = Reshape (R_0, shape)
    """,
}


@pytest.mark.parametrize("opset", FOLDED)
def test_weights_computed_by_other_nodes(opset: int) -> None:
    config = Configuration("LSTM", opset=opset)
    W, R = config.arrays["W"], config.arrays["R"]
    if opset == 22:
        R[:] = np.clip(np.round(2 * R), -128, 127) / 2
    weights = {
        "W_stored": np.concatenate([W[0], W[0]]).astype(np.float64),
        "R_stored": R.reshape(32, 2),
        "R_quantised": (2 * R).astype(np.int8).reshape(2, 32),
        "rows": np.array([16]),
        "B": config.arrays["B"],
    }
    nodes = list(parser.parse_graph(f"g (float[1] X) => (float[1] R) {{ {FOLDED[opset]} }}").node)
    (found,) = gatewise.from_onnx(of_nodes(config, nodes, weights)).values()
    plain = imported(config).layer
    for (name, parameter), expected in zip(found.layer.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(parameter, expected, rtol=0, atol=0, msg=name)


def test_initializers_that_are_inputs_too() -> None:
    """Until version 4 of the format every initializer was."""
    model = Configuration("GRU").model()
    for name in "WRB":
        model.graph.input.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    assert gatewise.from_onnx(model)


@pytest.mark.parametrize("size_threshold", [0, 100])
def test_external_data(tmp_path: Path, size_threshold: int) -> None:
    config = Configuration("LSTM")
    path = tmp_path / "model.onnx"
    onnx.save(config.model(), path, save_as_external_data=True, location="weights.bin", size_threshold=size_threshold)
    assert (tmp_path / "weights.bin").stat().st_size > 500
    (found,) = gatewise.from_onnx(path).values()
    assert_agrees(config, config.in_gatewise(found))
    with pytest.raises(ValueError, match="LSTM node 'recurrent': W: 'W' is stored in another file; pass the path"):
        gatewise.from_onnx(onnx.load(path, load_external_data=False))
    model = onnx.load(path, load_external_data=False)  # the same in nodes Constant
    constants = [helper.make_node("Constant", [], [one.name], value=one) for one in model.graph.initializer]
    del model.graph.initializer[:]
    for constant in reversed(constants):
        model.graph.node.insert(0, constant)
    (tmp_path / "constants.onnx").write_bytes(model.SerializeToString())
    (found,) = gatewise.from_onnx(tmp_path / "constants.onnx").values()
    assert_agrees(config, config.in_gatewise(found))
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(ValueError, match=r"model\.onnx: LSTM node 'recurrent': W: 'W' cannot be read, its external"):
        gatewise.from_onnx(path)


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float64"])
@pytest.mark.parametrize("through_initializers", [True, False])
def test_types_of_weights(name: str, through_initializers: bool) -> None:
    config = Configuration("LSTM", initial=(True, True), constant=True)
    dtype = getattr(torch, name)
    exact = {key: torch.from_numpy(value).to(dtype) for key, value in config.arrays.items() if key != "X"}
    model = config.model()
    del model.graph.initializer[:]
    if not through_initializers:
        code = getattr(TensorProto, name.upper() if name != "float64" else "DOUBLE")
        for key, value in exact.items():
            values = value.double().flatten().tolist()
            model.graph.initializer.append(helper.make_tensor(key, code, value.shape, values))
    (found,) = gatewise.from_onnx(model, exact if through_initializers else None).values()
    layer, states = found
    assert {parameter.dtype for parameter in layer.parameters()} == {dtype}
    torch.testing.assert_close(layer.weight_ih_l0[:4], exact["W"][0, :4], rtol=0, atol=0)
    torch.testing.assert_close(states, (exact["initial_h"], exact["initial_c"]), rtol=0, atol=0)
    output, _ = layer(torch.from_numpy(config.arrays["X"]).to(dtype), states)
    tolerance = {"float16": 0.02, "bfloat16": 0.1, "float64": 1e-12}[name]
    if name != "float64":
        np.testing.assert_allclose(output.detach().float(), config.as_specified()[0][:, 0], atol=tolerance)
    else:
        np.testing.assert_allclose(output.detach(), config.as_specified()[0][:, 0], atol=tolerance)


@pytest.mark.filterwarnings("ignore")  # torch's about its exporter
@pytest.mark.parametrize("make", [torch.nn.LSTM, torch.nn.GRU])
def test_models_that_torch_exports(make: type[torch.nn.RNNBase], tmp_path: Path) -> None:
    """Its initial states are zeros of the batch's shape; its gates come back in their order, bit for bit."""
    theirs, path = make(3, 4, 2, bidirectional=True).eval(), tmp_path / "model.onnx"
    x, axes = torch.randn(5, 2, 3), {"x": {0: "T", 1: "B"}}
    torch.onnx.export(theirs, (x,), str(path), dynamo=False, input_names=["x"], dynamic_axes=axes)
    found = gatewise.from_onnx(path).values()
    assert [(one.states, list(one.inputs)) for one in found] == [(None, ["X"])] * 2
    for k, one in enumerate(found):
        for name, parameter in one.layer.named_parameters():
            assert torch.equal(parameter, getattr(theirs, name.replace("_l0", f"_l{k}"))), name


def test_names() -> None:
    config = Configuration("GRU")
    graph = config.model().graph
    nodes = [copy.deepcopy(config.node) for _ in range(4)]
    for index, (node, name) in enumerate(zip(nodes, ("twice", "twice", "", "once"), strict=True)):
        node.name = name
        del node.output[:]
        node.output.extend(["", f"last{index}"] if index == 2 else [f"output{index}"])
    del graph.node[:]
    graph.node.extend(nodes)
    found = gatewise.from_onnx(helper.make_model(graph))
    assert list(found) == ["output0", "output1", "last2", "once"]


def test_subgraphs() -> None:
    """A node in a branch reads weights of the branch and of the graph around it."""
    config = Configuration("RNN")
    inner = helper.make_graph(
        [helper.make_node("Identity", ["W_outer"], ["W"]), config.node],
        "then",
        [],
        [helper.make_tensor_value_info("Y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(config.arrays["B"], "B")],
    )
    other = helper.make_graph([helper.make_node("Identity", ["X"], ["Z"])], "else", [], inner.output)
    branch = helper.make_node("If", ["condition"], ["out"], "choice", then_branch=inner, else_branch=other)
    outer = helper.make_graph(
        [branch],
        "graph",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("X", "condition")],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(config.arrays[name], stored) for name, stored in (("W", "W_outer"), ("R", "R"))],
    )
    found = gatewise.from_onnx(helper.make_model(outer))
    assert list(found) == ["choice/then_branch/recurrent"]
    assert_agrees(config, config.in_gatewise(found["choice/then_branch/recurrent"]))


def test_weights_that_change_in_a_loop_are_rejected() -> None:
    config = Configuration("RNN")
    names = ("iteration", "condition", "W")
    body = helper.make_graph(
        [config.node],
        "body",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names],
        [],
        [numpy_helper.from_array(config.arrays[name], name) for name in "RB"],
    )
    loop = helper.make_node("Loop", ["", "", "first"], ["last"], "loop", body=body)
    graph = helper.make_graph([loop], "graph", [], [], [numpy_helper.from_array(config.arrays["W"], "first")])
    with pytest.raises(ValueError, match="RNN node 'loop/body/recurrent': W: expected a constant, and 'W' is an input"):
        gatewise.from_onnx(helper.make_model(graph))


def test_functions_of_the_model() -> None:
    """A node inside a function that the model defines, which two nodes call."""
    text = """
    <ir_version: 8, opset_import: ["": 18, "local": 1]>
    graph (float[T, B, 3] X, float[T, B, 3] X2) => (float[T, D, B, H] Y, float[T, D, B, H] Y2) {
        Y = local.encode (X, W, R)
        Y2 = local.encode (X2, W, R)
    }
    <domain: "local", opset_import: ["": 18]>
    encode (x, w, r) => (y) { y = RNN <hidden_size: int = 4> (x, w, r) }
    """
    model = parser.parse_model(text)
    config = Configuration("RNN", bias=False)
    model.graph.initializer.extend(numpy_helper.from_array(config.arrays[name], name) for name in "WR")
    found = gatewise.from_onnx(model)
    assert [one.inputs["X"] for one in found.values()] == ["X", "X2"]
    for one in found.values():
        assert_agrees(config, config.in_gatewise(one))


def test_a_single_node() -> None:
    config = Configuration("GRU", lengths=(3, 1), initial=(True, False))
    arrays = dict(config.arrays)
    for name in ("X", "initial_h"):
        del arrays[name]
    (found,) = gatewise.from_onnx(config.node, arrays | {"W": numpy_helper.from_array(arrays["W"])}).values()
    assert found.inputs == {"X": "X", "initial_h": "initial_h"}
    assert_agrees(config, config.in_gatewise(found))


def test_attributes_are_read_as_decimal_numbers() -> None:
    """They are stored in float32, where 0.2 is 0.20000000298."""
    config = Configuration("RNN", activations=("Affine",), alphas=(0.2,), betas=(0.1,), clip=0.3)
    assert "0.2\n" in imported(config).layer.cell.text
    assert "0.3\n" in imported(config).layer.cell.text
    assert "Affine(alpha=0.2, beta=0.1); operands clipped to ±0.3." in imported(config).layer.cell.doc


def test_roles_of_gates_are_explained() -> None:
    cell = imported(Configuration("LSTM", input_forget=True)).layer.cell
    assert cell.gates == ("i", "g", "o")
    assert list(cell.documentation.gates) == ["i", "g", "o"]
    assert "input gate" in str(gatewise.explain(cell))


@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_surplus_activation_of_an_rnn(direction: str) -> None:
    """The schema's default is two whatever the direction, and exporters write it out; the second is not used."""
    config = Configuration("RNN", direction, activations=("Relu", "Tanh"))
    found = imported(config)
    assert found.layer.cell.name == "rnn_relu"
    assert_agrees(config, config.in_gatewise(found))
    for several in (("Relu", "Tanh", "Tanh"), ("Relu",) * 4):
        with pytest.raises(ValueError, match=f"activations: expected 1 of them for direction {direction}, got"):
            imported(replace(config, activations=several))
    both = replace(config, direction="bidirectional")
    assert [one.cell.name for one in (imported(both).layer.forward_layer, imported(both).layer.reverse_layer)] == [
        "rnn_relu",
        "rnn_tanh",
    ]


@pytest.mark.parametrize("operator", ["GRU", "LSTM"])
def test_constant_gates(operator: str) -> None:
    """Affine with alpha 0: the gates are constants, and their weights have no effect."""
    candidate = ("Tanh",) if operator == "GRU" else ("Tanh", "Tanh")
    config = Configuration(operator, activations=("Affine", *candidate), alphas=(0.0,), betas=(0.75,))
    found = imported(config)
    assert found.layer.cell.gates == (("n",) if operator == "GRU" else ("g",))
    assert_agrees(config, config.in_gatewise(found))


def test_bidirectional_pair() -> None:
    config = Configuration("LSTM", "bidirectional", rows=3, lengths=(4, 0, 2), initial=(True, True), activations=SIX)
    found = imported(config)
    layer = found.layer
    assert isinstance(layer, BidirectionalPair)
    assert (layer.forward_layer.reverse, layer.reverse_layer.reverse) == (False, True)
    assert (layer.input_size, layer.hidden_size, layer.batch_first) == (3, 4, False)
    assert_agrees(config, config.in_gatewise(found))
    same = replace(config, activations=SIX[:3] * 2)
    assert imported(same).layer.bidirectional
    assert type(imported(same).layer) is Recurrent


@pytest.mark.parametrize("batch_first", [False, True])
def test_bidirectional_pair_take_what_other_layers_take(batch_first: bool) -> None:
    config = Configuration(
        "GRU", "bidirectional", activations=("Sigmoid", "Elu", "Sigmoid", "Tanh"), layout=int(batch_first)
    )
    layer = imported(config).layer
    x = torch.randn(2, 5, 3) if batch_first else torch.randn(5, 2, 3)
    whole, _ = layer(x, lengths=[5, 3])
    packed = torch.nn.utils.rnn.pack_padded_sequence(x, torch.tensor([5, 3]), batch_first=batch_first)
    output, state = layer(packed)
    padded, _ = torch.nn.utils.rnn.pad_packed_sequence(output, batch_first=batch_first)
    torch.testing.assert_close(padded, whole)
    assert state.shape == (2, 2, 4)
    torch.testing.assert_close(layer(x[0] if batch_first else x[:, 0])[0], whole[0] if batch_first else whole[:, 0])
    mask = torch.arange(5)[:, None] < torch.tensor([5, 3])
    masked, _ = layer(x, mask=mask.T if batch_first else mask)
    torch.testing.assert_close(masked, whole)
    again = pickle.loads(pickle.dumps(layer))
    torch.testing.assert_close(again(x, lengths=[5, 3])[0], whole)


@pytest.mark.parametrize(
    "config",
    [
        Configuration("RNN", "reverse", activations=("ThresholdedRelu",), alphas=(0.1,), lengths=(4, 2)),
        Configuration("GRU", activations=("Softplus", "ScaledTanh"), alphas=(0.5,), betas=(1.5,), clip=2.0),
        Configuration("LSTM", "bidirectional", peepholes=True, activations=(*SIX[:3], *SIX[:3]), lengths=(2, 4)),
    ],
    ids=lambda config: config.operator,
)
def test_in_the_engine(config: Configuration) -> None:
    assert_agrees(config, config.in_gatewise(imported(config), backend="cpu"))


def test_training() -> None:
    layer = imported(Configuration("LSTM", activations=SIX[:3], clip=1.0, peepholes=True)).layer.double()
    layer.backend = "reference"
    x = torch.randn(3, 2, 3, dtype=torch.float64)
    weights = [parameter.detach().clone().requires_grad_() for parameter in layer.parameters()]
    names = [name for name, _ in layer.named_parameters()]

    def run(*weights: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(layer, dict(zip(names, weights, strict=True)), (x,))[0]

    assert torch.autograd.gradcheck(run, weights)


def test_the_random_generator_is_left_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    imported(Configuration("LSTM", "bidirectional", activations=SIX))
    assert torch.rand(1) == expected
