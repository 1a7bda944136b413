"""Invalid models: a ValueError that names the node, and the attribute or input."""

import copy
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from onnx import ModelProto, NodeProto, helper, numpy_helper

import gatewise
from tests.interchange.onnx.configurations import Configuration
from tests.mutations import COUNT, check_reader


def with_attribute(name: str, value: Any) -> Callable[[NodeProto], None]:
    def change(node: NodeProto) -> None:
        kept = [one for one in node.attribute if one.name != name]
        del node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute(name, value)])

    return change


def with_input(index: int, name: str) -> Callable[[NodeProto], None]:
    def change(node: NodeProto) -> None:
        node.input[index] = name

    return change


def more_inputs(node: NodeProto) -> None:
    node.input.extend(["a"] * 9)


@pytest.mark.parametrize(
    ("operator", "change", "message"),
    [
        (
            "LSTM",
            with_attribute("direction", "sideways"),
            "direction: expected forward, reverse, bidirectional, got 'si",
        ),
        ("LSTM", with_attribute("direction", 1), "direction: expected an attribute of type STRING, got type INT"),
        (
            "LSTM",
            with_attribute("direction", "bidirectional"),
            r"W: expected shape \(directions, 4·hidden_size, input_s",
        ),
        ("LSTM", with_attribute("hidden_size", 5), r"W: expected shape .* hidden_size 5, got \(1, 16, 3\)"),
        ("LSTM", with_attribute("hidden_size", 0), "hidden_size: expected at least 1, got 0"),
        ("LSTM", with_attribute("layout", 2), "layout: expected 0 or 1, got 2"),
        ("LSTM", with_attribute("clip", 0.0), "clip: expected a positive number, got 0"),
        ("LSTM", with_attribute("clip", float("nan")), "clip: expected a positive number, got nan"),
        ("LSTM", with_attribute("linear_before_reset", 1), "'linear_before_reset' is not an attribute of LSTM: act"),
        ("GRU", with_attribute("input_forget", 1), "'input_forget' is not an attribute of GRU"),
        (
            "GRU",
            with_attribute("activations", ["Tanh"]),
            "activations: expected 2 of them for direction forward, got 1",
        ),
        ("GRU", with_attribute("activations", ["Tanh", "Gelu"]), "activations: 'Gelu' is not one of ONNX's"),
        ("RNN", with_attribute("activations", [b"\xff"]), "activations: expected a text in UTF-8"),
        ("GRU", with_input(1, ""), "W: this input is required"),
        ("GRU", with_input(1, "X"), "W: expected a constant, and 'X' is an input of the graph"),
        ("GRU", with_input(1, "nowhere"), "W: the graph has no value 'nowhere'"),
        ("GRU", with_input(2, "B"), r"R: expected shape \(directions, 3·hidden_size, hidden_size\)"),
        ("GRU", with_input(3, "strings"), "B: expected one of the types float16, bfloat16, float32, float64"),
        ("GRU", with_input(3, "doubles"), "B: expected the type of W, float32, got float64"),
        ("GRU", with_input(3, "computed"), r"B: 'computed' cannot be evaluated \(Reshape\): "),
        ("GRU", with_input(3, "cycle"), "B: 'cycle' depends on itself"),
        ("GRU", with_input(3, "random"), "B: expected a constant, and 'random' is computed by RandomNormal"),
        (
            "GRU",
            with_input(4, "B"),
            r"sequence_lens: expected \(batch,\) integers of at least 0, got float32 \(1, 24\)",
        ),
        ("GRU", with_input(4, "negative"), "sequence_lens: expected"),
        ("GRU", with_input(5, "negative"), r"initial_h: expected three dimensions, got int64 \(2,\)"),
        ("GRU", with_input(5, "W"), r"initial_h: expected \(directions, batch, hidden_size\) with 1 and 4 and the"),
        ("GRU", more_inputs, "expected at most 6 inputs, got 15"),
        (
            "RNN",
            lambda node: [
                with_attribute("activations", ["Affine"])(node),
                with_attribute("activation_alpha", [0.0])(node),
            ],
            "x is never read",
        ),
    ],
)
def test_rejected(operator: str, change: Callable[[NodeProto], None], message: str) -> None:
    config = Configuration(operator, initial=(True, False), lengths=(2, 2))
    graph = config.model().graph
    change(graph.node[0])
    more = {"strings": np.array(["a"]), "doubles": config.arrays["B"].astype(np.float64), "negative": np.array([-1, 2])}
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in more.items())
    graph.node.extend(
        [
            helper.make_node("Reshape", ["B", "doubles"], ["computed"]),
            helper.make_node("Identity", ["cycle"], ["cycle"]),
            helper.make_node("RandomNormal", [], ["random"], shape=[1, 24]),
        ]
    )
    with pytest.raises(ValueError, match=f"^{operator} node 'recurrent': {message}"):
        gatewise.from_onnx(helper.make_model(graph))


def test_arguments() -> None:
    with pytest.raises(TypeError, match="model: expected a ModelProto, a NodeProto or a path, got int"):
        gatewise.from_onnx(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="model: expected a node RNN, GRU, LSTM, got Relu"):
        gatewise.from_onnx(helper.make_node("Relu", ["x"], ["y"]))
    with pytest.raises(ValueError, match="the graph has no node RNN, GRU, LSTM; it has no nodes"):
        gatewise.from_onnx(ModelProto())
    model = Configuration("GRU").model()
    model.graph.node[0].op_type = "two\nlines"
    with pytest.raises(ValueError, match=r"^the graph has no node RNN, GRU, LSTM; it has two lines$"):
        gatewise.from_onnx(model)
    with pytest.raises(FileNotFoundError):
        gatewise.from_onnx("nowhere.onnx")
    with pytest.raises(ValueError, match="W: expected a constant, and 'W' is an input of the graph"):
        gatewise.from_onnx(Configuration("GRU").node)


def test_operators_of_other_domains_are_not_read() -> None:
    model = Configuration("GRU").model()
    model.graph.node[0].domain = "com.example"
    with pytest.raises(ValueError, match=r"it has GRU of com\.example"):
        gatewise.from_onnx(model)


@pytest.mark.parametrize("name", ["recurrent", "direction", "initial_h", "LSTM"])
def test_names_that_are_not_utf_8(name: str, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    content = Configuration("LSTM", initial=(True, False), constant=True).model().SerializeToString()
    path.write_bytes(content.replace(name.encode(), name.encode()[:-1] + b"\xff"))
    with pytest.raises(ValueError, match=rf"model\.onnx: a name in the graph is not valid UTF-8: b'{name[:-1]}\\xff'"):
        gatewise.from_onnx(path)


def test_damaged_files(tmp_path: Path) -> None:
    config = Configuration("LSTM", "bidirectional", peepholes=True, initial=(True, True), lengths=(2, 1), constant=True)
    model = config.model()
    model.graph.node.insert(0, helper.make_node("Identity", ["stored"], ["W"]))
    model.graph.initializer.append(numpy_helper.from_array(config.arrays["W"], "stored"))
    for index, tensor in enumerate(model.graph.initializer):
        if tensor.name == "W":
            del model.graph.initializer[index]
            break
    check_reader(tmp_path / "model.onnx", model.SerializeToString(), gatewise.from_onnx)


def _messages(message: Message) -> Iterator[Message]:
    yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for inner in value if field.is_repeated else [value]:
                yield from _messages(inner)


def _other_value(field: FieldDescriptor, value: Any, draw: random.Random) -> Any:
    if isinstance(value, str):
        return draw.choice(["", "X", "W", "R", "stored", "initial_h", "GRU", "Concat", "If", "nowhere", "a\nb"])
    if isinstance(value, bytes):
        return draw.choice([b"", value[:-1], value * 2, draw.randbytes(len(value))])
    if isinstance(value, float):
        return draw.choice([float("nan"), float("inf"), -1.0, 0.0, 1e-38])
    if field.enum_type is not None:
        return draw.choice(list(field.enum_type.values_by_number))
    return draw.choice([-(2**31), -1, 0, 1, 2, 3, 8, 16, 2**31 - 1])


def _change(model: ModelProto, draw: random.Random) -> None:
    message = draw.choice([one for one in _messages(model) if one.ListFields()])
    field, value = draw.choice(message.ListFields())
    if not field.is_repeated:
        if field.message_type is None and draw.random() < 0.8:
            setattr(message, field.name, _other_value(field, value, draw))
        else:
            message.ClearField(field.name)
        return
    index = draw.randrange(len(value))
    match draw.randrange(3 if field.message_type is None else 2):
        case 0:
            del value[index]
        case 1:
            value.extend(value[index : index + 1])
        case _:
            value[index] = _other_value(field, value[index], draw)


def test_changed_models() -> None:
    """Any field of a valid model changed: it is read, or a ValueError names the node or what else is wrong."""
    config = Configuration("LSTM", "bidirectional", peepholes=True, initial=(True, True), lengths=(2, 1), constant=True)
    valid = config.model()
    valid.graph.node.insert(0, helper.make_node("Concat", ["first", "second"], ["W"], axis=1))
    valid.graph.node.append(helper.make_node("Concat", ["Y", "zeros"], ["out"], axis=0))
    valid.graph.initializer.extend(
        numpy_helper.from_array(part, name)
        for name, part in zip(("first", "second"), np.split(config.arrays["W"], 2, axis=1), strict=True)
    )
    for index in reversed(range(len(valid.graph.initializer))):
        if valid.graph.initializer[index].name == "W":
            del valid.graph.initializer[index]
    assert gatewise.from_onnx(valid)
    for seed in range(COUNT):
        draw, model = random.Random(seed), copy.deepcopy(valid)
        for _ in range(draw.choice((1, 1, 2, 4))):
            _change(model, draw)
        try:
            gatewise.from_onnx(model)
        except ValueError as error:
            message = str(error)
            assert message == " ".join(message.split()), f"change {seed}: {message}"
        except Exception as error:
            raise AssertionError(f"change {seed}: {type(error).__name__}: {error}\n{model}") from error


def test_damaged_external_data(tmp_path: Path) -> None:
    model, path, data = Configuration("GRU").model(), tmp_path / "model.onnx", tmp_path / "weights.bin"
    onnx.save(model, path, save_as_external_data=True, location=data.name, size_threshold=0)

    def read(_: Path) -> object:
        return gatewise.from_onnx(path)

    check_reader(data, data.read_bytes(), read, folder=tmp_path)
    check_reader(path, path.read_bytes(), gatewise.from_onnx)
