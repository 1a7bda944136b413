"""`to_onnx`: what is written computes in ONNX Runtime what the module computes, and comes back as the same layers."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnxscript import opset18
from torch import Tensor, nn

import gatewise
from csrc.tests.cells import of_heads, of_two_widths
from gatewise.equations.operations import OPERATIONS
from gatewise.interchange.onnx import comparison, spelling
from gatewise.interchange.onnx.native import Native
from gatewise.layers import Recurrent
from tests.user_cells import USER_CELLS


def in_onnx_runtime(path: Path, *inputs: Tensor) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]
    return session.run(None, {name: one.numpy() for name, one in zip(names, inputs, strict=True)})


def assert_close(ours: Tensor, theirs: np.ndarray) -> None:
    assert ours.shape == theirs.shape
    error = np.abs(ours.detach().numpy() - theirs) / np.maximum(1, np.abs(theirs))
    assert error.max(initial=0) <= 1e-5


class EveryCall(nn.Module):
    """A layer with a node of its own and one that is a loop, with and without lengths, from a given state or none."""

    def __init__(self) -> None:
        super().__init__()
        self.native = gatewise.LSTM(3, 4, bidirectional=True)
        self.loop = gatewise.PeepholeLSTM(3, 4, peephole="full", bidirectional=True)
        for parameter in self.parameters():  # initial biases of zero would hide a wrong place
            nn.init.normal_(parameter, std=0.5)

    def forward(self, x: Tensor, lengths: Tensor, reset: Tensor, *hx: Tensor) -> list[Any]:
        results: list[Any] = [self.native(x, reset=reset)]
        for layer in (self.native, self.loop):
            results += [layer(x, lengths=lengths), layer(x, hx), layer(x, hx, lengths=lengths)]
        return results


def test_every_call(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = EveryCall()

    def drawn(steps: int, rows: int, lengths: list[int]) -> tuple[Tensor, ...]:
        reset = torch.rand(steps, rows) < 0.3
        return torch.randn(steps, rows, 3), torch.tensor(lengths), reset, *torch.randn(2, 2, rows, 4)

    path = tmp_path / "model.onnx"
    written = gatewise.to_onnx(module, drawn(5, 3, [5, 0, 2]), path)
    assert [(layer.path, layer.node) for layer in written.layers] == [
        ("native.l0", "Scan bidirectional"),
        *((f"native.l{index}", "LSTM bidirectional") for index in (1, 2, 3)),
        *((f"loop.l{index}", "Scan bidirectional") for index in range(3)),
    ]
    for inputs in (drawn(5, 3, [5, 0, 2]), drawn(8, 4, [0, 1, 8, 3]), drawn(1, 1, [1]), drawn(4, 1, [0])):
        expected = torch.utils._pytree.tree_leaves(module(*inputs))
        for ours, theirs in zip(expected, in_onnx_runtime(path, *inputs), strict=True):
            assert_close(ours, theirs)
    assert set(gatewise.from_onnx(path)) == {"native.l1", "native.l2", "native.l3"}


class Tagger(nn.Module):
    def __init__(self, merge: str) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20, 6)
        self.rnn = gatewise.LSTM(6, 5, num_layers=2, bidirectional=True, merge=merge, batch_first=True, dropout=0.5)
        self.head = nn.Linear(10 if merge == "concat" else 5, 4)

    def forward(self, words: Tensor, lengths: Tensor) -> tuple[Tensor, Any]:
        output, state = self.rnn(self.embedding(words), lengths=lengths)
        return self.head(output), state


def test_every_merge(tmp_path: Path) -> None:
    class Merging(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(gatewise.BiLSTM(3, 4, merge=merge) for merge in ("sum", "mean", "mul"))

        def forward(self, x: Tensor) -> list[Tensor]:
            return [layer(x)[0] for layer in self.layers]

    module, path = Merging(), tmp_path / "model.onnx"
    gatewise.to_onnx(module, (torch.randn(5, 2, 3),), path)
    x = torch.randn(7, 3, 3)
    for ours, theirs in zip(module(x), in_onnx_runtime(path, x), strict=True):
        assert_close(ours, theirs)


@pytest.mark.parametrize("merge", ["concat", "learned"])
def test_a_model_with_a_stack(merge: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    model, path = Tagger(merge), tmp_path / "tagger.onnx"
    model.head.eval()
    words, lengths = torch.randint(20, (3, 7)), torch.tensor([7, 2, 5])
    written = gatewise.to_onnx(model, (words,), path, kwargs={"lengths": lengths}, output_names=["scores", "h", "c"])
    assert model.rnn.training
    assert not model.head.training
    assert capfd.readouterr() == ("", "")
    assert list(written.inputs) == ["words", "lengths"]
    (rows, steps), (of_lengths,) = written.inputs.values()
    assert isinstance(steps, str)
    assert isinstance(rows, str)
    assert of_lengths == rows
    assert str(written).splitlines()[:3] == [
        "layer   cell  node",
        "rnn.l0  lstm  LSTM bidirectional",
        "rnn.l1  lstm  LSTM bidirectional",
    ]
    assert 0 <= written.largest_difference <= 1e-5
    words, lengths = torch.randint(20, (2, 11)), torch.tensor([11, 0])
    scores, (h, c) = model.eval()(words, lengths)
    for ours, theirs in zip((scores, h, c), in_onnx_runtime(path, words, lengths), strict=True):
        assert_close(ours, theirs)
    stored = onnx.load(path)
    onnx.checker.check_model(stored, full_check=True)
    assert str(Path(__file__).parent).encode() not in path.read_bytes()
    constants = {one.name for one in stored.graph.initializer}
    for node in stored.graph.node:
        if node.op_type == "LSTM":
            assert set(node.input[1:4]) <= constants
            assert [dict_of.value for dict_of in node.metadata_props] == ["lstm"]


def test_large_weights_are_constants(tmp_path: Path) -> None:
    layer, path = gatewise.LSTM(3, 200), tmp_path / "model.onnx"  # folding stops at smaller tensors by default
    gatewise.to_onnx(layer, (torch.randn(3, 2, 3),), path)
    assert {node.op_type for node in onnx.load(path).graph.node}.isdisjoint({"Gather", "Unsqueeze"})
    (found,) = gatewise.from_onnx(path).values()
    for name, weight in layer.named_parameters():
        assert torch.equal(found.layer.get_parameter(name), weight)


def test_names_of_sizes(tmp_path: Path) -> None:
    path, layer, x = tmp_path / "model.onnx", gatewise.RNN(3, 4), torch.randn(5, 2, 3)
    written = gatewise.to_onnx(layer, (x,), path, size_names={"input": ("steps", None, 3)})
    steps, rows, width = written.inputs["input"]
    assert (steps, width) == ("steps", 3)
    output, state = onnx.load(path).graph.output
    assert [size.dim_param for size in output.type.tensor_type.shape.dim] == ["steps", rows, ""]
    assert state.type.tensor_type.shape.dim[1].dim_param == rows
    path.unlink()
    for names, message in (
        ({"x": ("steps",)}, r"size_names: expected names for the sizes of input \('s\d+', 's\d+', 3\); got x: \("),
        ({"input": ("steps", "rows")}, "size_names: expected names for the sizes of input"),
        ({"input": ("steps", "rows", "width")}, "size_names: 'width' of input is always 3 in this module"),
    ):
        with pytest.raises(ValueError, match=message):
            gatewise.to_onnx(layer, (x,), path, size_names=names)
    same = {"input": ("steps", "rows", 3), "lengths": ("batch",)}
    with pytest.raises(ValueError, match="size_names: 'rows' and 'batch' are one size in this model"):
        gatewise.to_onnx(layer, (x,), path, kwargs={"lengths": torch.tensor([5, 2])}, size_names=same)
    fixed = gatewise.to_onnx(nn.Linear(3, 4), (x[0],), path, size_names={"input": (2, 3)})
    assert fixed.inputs == {"input": (2, 3)}


def test_masks_with_holes(tmp_path: Path) -> None:
    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = gatewise.GRU(3, 4, bidirectional=True, masked_output="repeat")

        def forward(self, x: Tensor, mask: Tensor, reset: Tensor) -> Any:
            return self.rnn(x, mask=mask), self.rnn(x, mask=mask, reset=reset)

    def drawn(steps: int, rows: int) -> tuple[Tensor, ...]:
        return torch.randn(steps, rows, 3), torch.rand(steps, rows) > 0.4, torch.rand(steps, rows) < 0.2

    module, path = Masked(), tmp_path / "model.onnx"
    written = gatewise.to_onnx(module, drawn(5, 3), path)
    assert [layer.node for layer in written.layers] == [
        "GRU bidirectional, linear_before_reset=1",
        "Scan bidirectional",
    ]
    given = drawn(9, 2)
    for ours, theirs in zip(
        torch.utils._pytree.tree_leaves(module(*given)), in_onnx_runtime(path, *given), strict=True
    ):
        assert_close(ours, theirs)


@pytest.mark.parametrize("opset", [19, 22, 23])
def test_opsets(opset: int, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    module = gatewise.Stack([gatewise.LSTM(3, 4), Recurrent(USER_CELLS["lagged"], 4, 2)])
    written = gatewise.to_onnx(module, (torch.randn(5, 2, 3),), path, opset=opset)
    assert [layer.node for layer in written.layers] == ["LSTM forward", "Scan forward"]
    assert onnx.load(path).opset_import[0].version == opset
    assert written.largest_difference <= 1e-6


@torch.library.custom_op("gatewise_tests::twice", mutates_args=())
def twice(x: Tensor) -> Tensor:
    return 2 * x


twice.register_fake(torch.empty_like)


class WithOperator(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = gatewise.GRU(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(twice(x))[0]


def test_operators_of_your_own(tmp_path: Path) -> None:
    def nodes(x: Any) -> Any:
        return opset18.Add(x, x)

    args, path = (torch.randn(5, 2, 3),), tmp_path / "model.onnx"
    written = gatewise.to_onnx(WithOperator(), args, path, translations={torch.ops.gatewise_tests.twice.default: nodes})
    assert written.largest_difference <= 1e-6
    assert "Add" in {node.op_type for node in onnx.load(path).graph.node}
    with pytest.raises(ValueError, match=r"torch.onnx.export cannot translate it .*gatewise_tests.twice"):
        gatewise.to_onnx(WithOperator(), args, path)


@pytest.mark.parametrize("layer", [gatewise.GRU(3, 4), Recurrent(USER_CELLS["lagged"], 3, 4)])
def test_double_precision(layer: Recurrent, tmp_path: Path) -> None:
    written = gatewise.to_onnx(layer.double(), (torch.randn(5, 2, 3).double(),), tmp_path / "model.onnx")
    assert written.layers[0].node == "Scan forward"
    assert written.largest_difference <= 1e-14


@pytest.mark.parametrize("layer", [gatewise.LSTM(3, 4), Recurrent(USER_CELLS["lagged"], 3, 4)])
def test_half_precision(layer: Recurrent, tmp_path: Path) -> None:
    written = gatewise.to_onnx(layer.half(), (torch.randn(5, 2, 3).half(),), tmp_path / "model.onnx")
    assert 1e-5 < written.largest_difference <= 4e-3


def test_refusals_come_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, x = tmp_path / "model.onnx", torch.randn(5, 2, 3)

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = nn.ModuleDict({"rnn": Recurrent("peephole_lstm_full", 3, 4)})

        def forward(self, x: Tensor) -> Tensor:
            return self.encoder["rnn"](x)[0]

    with monkeypatch.context() as patch:
        spelling.spelled.cache_clear()
        patch.setitem(OPERATIONS, "tanh", replace(OPERATIONS["tanh"], onnx=None))
        with pytest.raises(ValueError, match=r"^layer encoder\.rnn: ONNX has no operator for this call of the cell"):
            gatewise.to_onnx(Model(), (x,), path)
        with pytest.raises(ValueError, match=r"^module: ONNX has .* lstm.* operation tanh has no ONNX implementation$"):
            gatewise.to_onnx(gatewise.LSTM(3, 4), (x,), path, kwargs={"reset": torch.rand(5, 2) > 0.5})
    spelling.spelled.cache_clear()
    for place, model in {
        r"module": gatewise.LSTM(3, 4, return_states=True),
        r"layer 1": gatewise.Stack([gatewise.GRU(3, 4), gatewise.LSTM(4, 4, return_states=True)]),
    }.items():
        with pytest.raises(
            ValueError, match=rf"^{place}: its recurrent nodes have the last states alone, and the layer"
        ):
            gatewise.to_onnx(model, (x,), path)
    layer = gatewise.LSTM(3, 4)
    with pytest.raises(ValueError, match="bfloat16 cannot be run in ONNX Runtime"):
        gatewise.to_onnx(layer.bfloat16(), (x.bfloat16(),), path)
    with pytest.raises(ValueError, match=r"ONNX Runtime cannot load the model: .* an implementation for Erf"):
        gatewise.to_onnx(nn.GELU(), (x.double(),), path)
    layer.float()
    with pytest.raises(TypeError, match=r"path: expected a path \(a str or an os.PathLike\), got int \(5\)"):
        gatewise.to_onnx(gatewise.GRU(3, 4), (torch.randn(5, 2, 3),), 5)  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match="args: expected a tuple of the arguments of a call, got Tensor"):
        gatewise.to_onnx(layer, x, path)
    with pytest.raises(TypeError, match=r"module: expected a torch\.nn\.Module, got int"):
        gatewise.to_onnx(3, (x,), path)
    with pytest.raises(ValueError, match="opset: expected 18 to 23, got 17"):
        gatewise.to_onnx(layer, (x,), path, opset=17)
    with pytest.raises(ValueError, match=r"output_names: expected a sequence of 3 names, got \['y'\]"):
        gatewise.to_onnx(layer, (x,), path, output_names=["y"])
    with pytest.raises(ValueError, match="expected different names, got 'y' twice"):
        gatewise.to_onnx(layer, (x,), path, output_names=["y", "h", "y"])
    with pytest.raises(ValueError, match="args: expected at least one tensor"):
        gatewise.to_onnx(layer, (), path)
    with pytest.raises(ValueError, match="its folder does not exist"):
        gatewise.to_onnx(layer, (x,), tmp_path / "missing" / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_traced(tmp_path: Path) -> None:
    class Branching(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if float(x.sum()) > 0 else -x

    with pytest.raises(ValueError, match=r"^module: torch\.export cannot trace it \("):
        gatewise.to_onnx(Branching(), (torch.randn(3),), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_a_difference_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Native, "signs", lambda *_: None)  # those of z, which chung2014 needs
    with pytest.raises(ValueError, match=r"output 0 in ONNX Runtime differs from that of the module by .* shape \(5, "):
        gatewise.to_onnx(gatewise.GRU(3, 4, variant="chung2014"), (torch.randn(5, 2, 3),), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


class Imprecise(nn.Module):
    """Is off by 0.001 in float32."""

    def forward(self, x: Tensor) -> tuple[Tensor]:
        return (x + 0.001 if x.dtype == torch.float32 else x,)


class Single(nn.Module):
    """Knows float32 alone."""

    def forward(self, x: Tensor) -> tuple[Tensor]:
        return (x + torch.ones(3, 3) @ x[:3],)


@pytest.mark.parametrize(
    ("module", "off", "accepted"),
    [(Imprecise(), 0.0015, True), (Imprecise(), 0.003, False), (Imprecise(), np.nan, False), (Single(), 0.0, False)],
)
def test_errors_against_float64(module: nn.Module, off: float, accepted: bool) -> None:
    """Where the module itself is off, ONNX Runtime may be twice as much."""
    x = torch.rand(3, 3)
    theirs = (x - off).numpy()
    assert comparison._as_exact(module, [x], 0, module(x)[0], theirs) == accepted
    assert not comparison._as_exact(module, [x], 0, module(x)[0].half(), theirs)


@pytest.mark.parametrize(
    "layer",
    [
        gatewise.LSTM(3, 4, num_layers=2),
        gatewise.GRU(3, 4, variant="chung2014"),
        gatewise.Stack([gatewise.PeepholeLSTM(3, 4, peephole="full"), gatewise.RNN(4, 5)]),
        gatewise.LSTM(3, 5, num_layers=2, proj_size=2),
        Recurrent("slstm", 3, 6, heads=3),
    ],
    ids=["LSTM", "GRU", "Stack", "projection", "heads"],
)
def test_streaming_equals_the_sequence(layer: Any, tmp_path: Path) -> None:
    path = tmp_path / "step.onnx"
    written = gatewise.to_onnx(layer, (torch.randn(2, 3),), path, streaming=True)
    names = list(written.inputs)
    assert names[0] == "x_t"
    assert all(name.startswith("state") for name in names[1:])
    assert written.outputs == ("output", *(f"new_{name}" for name in names[1:]))
    x = torch.randn(6, 5, 3)
    expected, final = layer(x)
    states = [np.zeros_like(one.detach().numpy()) for one in torch.utils._pytree.tree_leaves(final)]
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for x_t, y_t in zip(x, expected, strict=True):
        output, *states = session.run(None, dict(zip(names, [x_t.numpy(), *states], strict=True)))
        assert_close(y_t, output)
    for ours, theirs in zip(torch.utils._pytree.tree_leaves(final), states, strict=True):
        assert_close(ours, theirs)


@pytest.mark.parametrize(
    "layer",
    [
        gatewise.LSTM(3, 5, num_layers=2, bidirectional=True, proj_size=2),
        gatewise.PeepholeLSTM(3, 5, bidirectional=True, proj_size=2),
        Recurrent("slstm", 3, 6, bidirectional=True, heads=2),
        Recurrent(of_heads, 3, 6, num_layers=2, heads=3),
        Recurrent(of_two_widths, 3, 5, proj_size=3, rates={"h": 0.2, "kept": 0.3}).eval(),
    ],
    ids=["lstm_projected", "lstm_projected_sak2014", "slstm", "of_heads", "of_two_widths"],
)
def test_projections_and_heads(layer: Recurrent, tmp_path: Path) -> None:
    for parameter in layer.parameters():  # initial biases of zero would hide a wrong place
        if parameter.dim() == 1:
            nn.init.normal_(parameter, std=0.5)
    path = tmp_path / "model.onnx"
    written = gatewise.to_onnx(
        layer, (torch.randn(5, 3, 3),), path, kwargs={"lengths": torch.tensor([5, 0, 2])}, opset=20
    )
    assert {one.node.split()[0] for one in written.layers} == {"Scan"}
    for rows, steps in ((3, 5), (1, 4)):
        x, lengths = torch.randn(steps, rows, 3), torch.randint(steps + 1, (rows,))
        expected = torch.utils._pytree.tree_leaves(layer(x, lengths=lengths))
        for ours, theirs in zip(expected, in_onnx_runtime(path, x, lengths), strict=True):
            assert_close(ours, theirs)


def test_streaming_needs_steps(tmp_path: Path) -> None:
    path, x_t = tmp_path / "step.onnx", torch.randn(2, 3)
    with pytest.raises(TypeError, match=r"expected a module with a method step\(x_t, state\) .* Linear has none"):
        gatewise.to_onnx(nn.Linear(3, 4), (x_t,), path, streaming=True)
    with pytest.raises(ValueError, match="this layer reads from the end"):
        gatewise.to_onnx(gatewise.BiLSTM(3, 4), (x_t,), path, streaming=True)
    assert not list(tmp_path.iterdir())
