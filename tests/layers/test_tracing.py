"""What records operations sees operators: what it makes computes with other inputs than those it was made with.

In processes of their own: what this guards against is memory that others have taken.
"""

import subprocess
import sys

import pytest
import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

import gatewise
from tests.agreement import assert_agrees
from tests.layers.oracle import call, expected

COMMON = """
import copy, io, itertools, tempfile, warnings
warnings.simplefilter("ignore")
import torch, gatewise
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

def check(came, expected):
    for a, b in zip(torch.utils._pytree.tree_leaves(came), torch.utils._pytree.tree_leaves(expected), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)

LAYERS = {
    "lstm": lambda: gatewise.LSTM(8, 16),
    "gru": lambda: gatewise.GRU(8, 16, num_layers=2, batch_first=True),
    "rnn": lambda: gatewise.BiRNN(8, 16, merge="sum"),
    "peephole": lambda: gatewise.PeepholeLSTM(8, 16, num_layers=2, bidirectional=True),
    "chung": lambda: gatewise.Recurrent("gru_chung2014", 8, 16),
}
"""

TRACED = """
for (name, make), gradients in itertools.product(LAYERS.items(), (False, True)):
    layer = make()
    with torch.set_grad_enabled(gradients):
        for _ in range(3):
            layer(torch.randn(5, 2, 8))
        traced = torch.jit.trace(layer, (torch.randn(5, 2, 8),))
        file = io.BytesIO()
        torch.jit.save(traced, file)
        file.seek(0)
        for program in (traced, torch.jit.load(file)):
            for shape in ((5, 2), (9, 3), (1, 1), (30, 17)):
                x = torch.randn(*shape, 8)
                check(program(x), layer(x))
        if gradients:
            x = torch.randn(6, 3, 8)
            check(*(torch.autograd.grad(one(x)[0].square().sum(), layer.parameters()) for one in (traced, layer)))
    for _ in range(3):  # and the layer still works
        x = torch.randn(5, 2, 8)
        check(layer(x), copy.deepcopy(layer)(x))

class Ragged(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x, lengths, reset):
        return self.layer(x, lengths=lengths, reset=reset)

class Packed(Ragged):
    def forward(self, x, lengths):
        return pad_packed_sequence(self.layer(pack_padded_sequence(x, lengths, enforce_sorted=False))[0])[0]

for layer in (gatewise.LSTM(8, 16), gatewise.PeepholeLSTM(8, 16, bidirectional=True)):
    ragged = Ragged(layer)
    traced = torch.jit.trace(ragged, (torch.randn(5, 3, 8), torch.tensor([5, 3, 1]), torch.rand(5, 3) < 0.3))
    other = torch.randn(7, 4, 8), torch.tensor([7, 0, 3, 4]), torch.rand(7, 4) < 0.3
    check(traced(*other), ragged(*other))
    packed = Packed(layer)
    traced = torch.jit.trace(packed, (torch.randn(5, 3, 8), torch.tensor([5, 3, 1])))
    other = torch.randn(6, 3, 8), torch.tensor([2, 6, 4])
    check(traced(*other), packed(*other))
"""

GRAPHS = """
import lightning
from lightning.pytorch.loggers import TensorBoardLogger
from torch.utils.tensorboard import SummaryWriter

for make in LAYERS.values():
    layer = make()
    for _ in range(2):
        writer = SummaryWriter(tempfile.mkdtemp())
        writer.add_graph(layer, torch.randn(5, 2, 8))
        writer.close()
        x = torch.randn(5, 2, 8)
        check(layer(x), copy.deepcopy(layer)(x))

class Module(lightning.LightningModule):
    example_input_array = torch.randn(5, 2, 8)

    def __init__(self):
        super().__init__()
        self.layer = gatewise.LSTM(8, 16)

    def forward(self, x):
        return self.layer(x)[0]

    def training_step(self, batch):
        return self(batch).square().mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

trainer = lightning.Trainer(
    max_epochs=1, accelerator="cpu", logger=TensorBoardLogger(tempfile.mkdtemp(), log_graph=True),
    enable_progress_bar=False, enable_checkpointing=False, enable_model_summary=False,
)
trainer.fit(Module(), torch.utils.data.DataLoader(torch.randn(3, 5, 2, 8), batch_size=None))
"""

AFTER_A_FAILURE = """
class Failing(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        output, _ = self.layer(x)
        if torch.jit.is_tracing():
            raise RuntimeError("no trace")
        return output

dimensions = {0: torch.export.Dim("T"), 1: torch.export.Dim("B")}
for name in ("lstm", "peephole"):
    failing = Failing(LAYERS[name]())
    for shape in ((5, 2, 8), (5, 2, 8), (4, 2, 8)):
        x = torch.randn(shape)
        for _ in range(3):
            try:
                torch.jit.trace(failing, (x,))
                raise SystemExit("traced")
            except RuntimeError as error:
                assert "no trace" in str(error), error
        for _ in range(3):
            check(failing(x), copy.deepcopy(failing)(x))
    exported = torch.export.export(failing, (torch.randn(5, 2, 8),), dynamic_shapes=(dimensions,))
    other = torch.randn(11, 3, 8)
    check(exported.module()(other), failing(other))
    with torch.no_grad():
        check(failing(x), copy.deepcopy(failing)(x))
"""


@pytest.mark.parametrize("program", [TRACED + AFTER_A_FAILURE, GRAPHS], ids=["traced, and after a failure", "graphs"])
def test_traces(program: str):
    if program is GRAPHS:
        pytest.importorskip("lightning")
        pytest.importorskip("tensorboard")
    run = subprocess.run([sys.executable, "-c", COMMON + program], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-2000:]


ONNX = """
import onnxruntime

class Output(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(x)[0]

for name in ("lstm", "rnn", "peephole", "chung"):
    module, file = Output(LAYERS[name]()).eval(), io.BytesIO()
    axes = {"x": {1: "B"}}
    torch.onnx.export(module, (torch.randn(5, 2, 8),), file, dynamo=False, input_names=["x"], dynamic_axes=axes)
    session = onnxruntime.InferenceSession(file.getvalue())
    for rows in (2, 7):
        x = torch.randn(5, rows, 8)
        check(torch.as_tensor(session.run(None, {"x": x.numpy()})[0]), module(x).detach())
"""


def test_the_onnx_exporters():
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    second = ONNX.replace('dynamo=False, input_names=["x"], dynamic_axes=axes', 'dynamo=True, input_names=["x"]')
    second = second.replace("for rows in (2, 7)", "for rows in (2, 2)")
    second = second.replace('("lstm", "rnn", "peephole", "chung")', '("lstm", "peephole")')  # it takes long
    run = subprocess.run([sys.executable, "-c", COMMON + ONNX + second], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-2000:]


@pytest.mark.filterwarnings("ignore:`torch.jit.script. is deprecated:DeprecationWarning")  # torch's own doing
def test_scripts_raise_with_advice():
    message = r"^torch\.jit\.script cannot compile LSTM, .*; use torch\.jit\.trace or torch\.export\.export$"
    for module in (gatewise.LSTM(3, 4), torch.nn.Sequential(gatewise.LSTM(3, 4))):
        with pytest.raises(TypeError, match=message):
            torch.jit.script(module)


@pytest.mark.parametrize("cell", ["lstm", "gru_cudnn", "peephole_lstm"])
def test_programs_for_onnx_hold_operators_of_torch_alone(cell: str, monkeypatch: pytest.MonkeyPatch):
    """The exporter knows no others."""
    layer, x = gatewise.Recurrent(cell, 3, 4, bidirectional=True), torch.randn(5, 2, 3)
    monkeypatch.setattr(torch.onnx, "is_in_onnx_export", lambda: True)
    program = torch.export.export(layer, (x,), strict=False)
    called = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
    assert called
    assert not [name for name in called if "gatewise" in name]
    torch.testing.assert_close(program.module()(x), layer(x))


@pytest.mark.parametrize("pre_dispatch", [False, True])
@pytest.mark.parametrize("cell", ["lstm", "peephole_lstm"])
def test_make_fx_with_real_tensors(cell: str, pre_dispatch: bool):
    layer, gradients = gatewise.Recurrent(cell, 3, 4), not pre_dispatch  # of which torch's own layers lose some then

    def forward(x: Tensor) -> list[Tensor]:
        output, state = layer(x)
        leaves = [x, *layer.parameters()] if gradients else []
        return [output, *state, *(torch.autograd.grad(output.square().sum(), leaves) if leaves else ())]

    for _ in range(3):
        forward(torch.randn(5, 2, 3, requires_grad=True))
    graph = make_fx(forward, pre_dispatch=pre_dispatch)(torch.randn(5, 2, 3, requires_grad=True))
    for _ in range(2):
        x = torch.randn(5, 2, 3, requires_grad=True)
        for actual, value in zip(graph(x), forward(x), strict=True):
            torch.testing.assert_close(actual, value)


class Doubled(torch.utils._python_dispatch.TorchDispatchMode):
    """Computes in double precision."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        def with_floats(value: object, before: torch.dtype, after: torch.dtype) -> object:
            is_float = isinstance(value, Tensor) and value.dtype is before
            return value.to(after) if is_float else value

        inside = torch.utils._pytree.tree_map(lambda one: with_floats(one, torch.float32, torch.float64), args)
        if "gatewise" not in str(func):
            return func(*args, **(kwargs or {}))
        results = func(*inside, **(kwargs or {}))
        return torch.utils._pytree.tree_map(lambda one: with_floats(one, torch.float64, torch.float32), results)


def test_a_dispatch_mode_sees_what_it_computes():
    layer = gatewise.LSTM(3, 4)
    with torch.no_grad():
        for _ in range(4):
            x = torch.randn(5, 2, 3)
            with Doubled():
                actual = call(layer, x)
            exact, plain = expected(layer, torch.float64, x), expected(layer, torch.float32, x)
            assert_agrees(actual, exact, plain, torch.float32)
            assert all(torch.equal(actual[name], exact[name].float()) for name in exact)
            with Doubled(), layer.frozen():
                state = None
                for x_t in x:
                    output, state = layer.step(x_t, state)
            torch.testing.assert_close(output, actual["output"][-1], rtol=1e-6, atol=1e-7)


def test_a_watched_layer_is_not_traced():
    layer = gatewise.LSTM(3, 4)
    with gatewise.watch(layer), pytest.raises(ValueError, match=r"gatewise\.watch: a watched layer was called inside"):
        make_fx(lambda x: layer(x)[0])(torch.randn(5, 2, 3))
