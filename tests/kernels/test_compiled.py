"""Whole-graph compilation with time and batch dynamic, and a program exported for another process."""

import copy
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.utils import counters
from torch._inductor.utils import fresh_cache
from torch.export import Dim

import gatewise
from csrc.tests.build import compiler
from gatewise.kernels import aten as torch_kernels
from gatewise.kernels import operators, reference
from tests.agreement import CELLS
from tests.combinations import ALL
from tests.kernels.engine import needs_engine

WITH_OPTIONS = [
    ("lstm", {}),
    ("lstm", {"bidirectional": True, "num_layers": 2, "merge": "learned"}),
    ("gru_cudnn", {"batch_first": True, "bidirectional": True, "merge": None}),
    ("peephole_lstm", {"bidirectional": True, "merge": "mean", "checkpoint_every": 2}),
    ("gru_chung2014", {"num_layers": 2, "batch_first": True}),
    ("lagged", {}),
]
SHAPES = [(5, 3), (7, 3), (4, 6), (9, 2)]


class Model(nn.Module):
    """A recurrent layer between two others, with lengths, resets and the state of the last step."""

    def __init__(self, cell: str, **options: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.before = nn.Linear(2, 3)
        self.layer = gatewise.Recurrent(CELLS[cell], 3, 4, init="torch", **options)
        self.after = nn.LazyLinear(2)
        self.double()
        self(*inputs(self, 2, 2))

    def forward(self, x: Tensor, lengths: Tensor | None = None, reset: Tensor | None = None) -> tuple[Tensor, Tensor]:
        output, state = self.layer(self.before(x), lengths=lengths, reset=reset)
        if isinstance(output, tuple):
            output = torch.cat(output, dim=-1)
        states = state if isinstance(state, tuple) else (state,)
        return self.after(output), torch.cat(states)


def inputs(model: Model, steps: int, batch: int, *, ragged: bool = True) -> tuple[Tensor, ...]:
    """x, and when ragged lengths with 0 and T among them and resets."""
    draw = torch.Generator().manual_seed(steps * 100 + batch)
    x = torch.randn(steps, batch, 2, generator=draw, dtype=torch.float64)
    lengths = torch.randint(0, steps + 1, (batch,), generator=draw)
    lengths[0] = steps
    reset = torch.rand(steps, batch, generator=draw) < 0.3
    if model.layer.batch_first:
        x, reset = x.transpose(0, 1).contiguous(), reset.t().contiguous()
    return (x, lengths, reset) if ragged else (x,)


def outcome(model: nn.Module, parameters: list[Tensor], arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Outputs and gradients."""
    x = arguments[0].clone().requires_grad_()
    outputs = model(x, *arguments[1:])
    gradients = torch.autograd.grad(sum(value.square().sum() for value in outputs), [x, *parameters])
    return (*outputs, *gradients)


# The first both ways, and of the others every other one ragged: tracing takes long.
@pytest.mark.parametrize(
    ("cell", "options", "ragged"),
    [
        (*one, ragged)
        for number, one in enumerate(WITH_OPTIONS)
        for ragged in (False, True)
        if ALL or number == 0 or ragged == (number % 2 == 1)
    ],
    ids=str,
)
def test_one_full_graph_for_every_number_of_steps_and_rows(cell: str, options: dict[str, Any], ragged: bool):
    torch._dynamo.reset()
    graphs: list[torch.fx.GraphModule] = []

    def keeping(graph: torch.fx.GraphModule, example: list[Any]) -> Any:
        graphs.append(graph)
        return torch._dynamo.lookup_backend("aot_eager")(graph, example)

    model = Model(cell, **options)
    compiled = torch.compile(model, fullgraph=True, dynamic=True, backend=keeping)
    with torch._dynamo.config.patch(error_on_recompile=True):
        for steps, batch in SHAPES:
            arguments = inputs(model, steps, batch, ragged=ragged)
            expected = outcome(model, list(model.parameters()), arguments)
            actual = outcome(compiled, list(model.parameters()), arguments)
            for a, b in zip(actual, expected, strict=True):
                torch.testing.assert_close(a, b)
    targets = [node.target for node in graphs[-1].graph.nodes if node.op == "call_function"]
    assert targets.count(torch.ops.gatewise.recurrent) == model.layer.num_layers


@needs_engine
@pytest.mark.parametrize("cell", ["peephole_lstm", "lagged"])
def test_a_compiled_model_trains_on_the_engine_and_runs_no_step_twice(cell: str, monkeypatch: pytest.MonkeyPatch):
    torch._dynamo.reset()
    model = Model(cell, bidirectional=True, backend="cpu")
    expected = [outcome(model, list(model.parameters()), inputs(model, *shape)) for shape in SHAPES]
    for other in (reference, torch_kernels):
        monkeypatch.setattr(other, "forward", None)
    monkeypatch.setattr(operators, "recomputed", None)
    compiled = torch.compile(model, fullgraph=True, dynamic=True, backend="aot_eager")
    for shape, wanted in zip(SHAPES, expected, strict=True):
        torch.testing.assert_close(outcome(compiled, list(model.parameters()), inputs(model, *shape)), wanted)


@pytest.mark.skipif(
    compiler() is None or not Path(sysconfig.get_path("include"), "Python.h").exists(),
    reason="no C++ compiler here, or not Python's headers",
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch in torch
def test_inductor_and_what_it_keeps_on_disk(monkeypatch: pytest.MonkeyPatch):
    model = Model("gru_chung2014", bidirectional=True)
    expected = [outcome(model, list(model.parameters()), inputs(model, *shape)) for shape in SHAPES]
    found = {}
    # An empty cache has no precompiled headers, and no proofs that the compiler knows the processor's vectors.
    quicker = {"cpp_cache_precompile_headers": False, "cpp.vec_isa_ok": True}
    with fresh_cache(), torch._inductor.config.patch(quicker):
        for version, version_of in {"first": "1", "again": "1", "upgraded": "2"}.items():
            monkeypatch.setattr(operators, "MADE_BY", version_of)
            torch._dynamo.reset()
            counters.clear()
            compiled = torch.compile(model, fullgraph=True, dynamic=True)
            with torch._dynamo.config.patch(error_on_recompile=True):
                for shape, wanted in zip(SHAPES, expected, strict=True):
                    actual = outcome(compiled, list(model.parameters()), inputs(model, *shape))
                    torch.testing.assert_close(actual, wanted)
            found[version] = counters["aot_autograd"]["autograd_cache_hit"]
    # The operators that a kept graph calls are those of one version.
    assert found == {"first": 0, "again": 1, "upgraded": 0}


def test_lengths_are_checked_in_a_compiled_graph_too():
    torch._dynamo.reset()
    model = Model("lstm")
    compiled = torch.compile(model, fullgraph=True, dynamic=True, backend="aot_eager")
    x, lengths, reset = inputs(model, 5, 3)
    compiled(x, lengths, reset)
    with pytest.raises(ValueError, match="lengths: expected values between 0 and T=5"):
        compiled(x, lengths + 6, reset)


def test_step_in_a_full_graph():
    torch._dynamo.reset()
    layer = gatewise.LSTM(3, 4)
    compiled = torch.compile(layer.step, fullgraph=True, backend="aot_eager")
    x = torch.randn(5, 2, 3)
    state = None
    outputs = []
    with torch.no_grad():
        for x_t in x:
            y_t, state = compiled(x_t, state)
            outputs.append(y_t)
    torch.testing.assert_close(torch.stack(outputs), layer(x)[0])


def test_a_local_cell_in_a_compiled_model():
    from gatewise.equations import cell, tanh

    @cell
    def own(x, h, /, W, R, s):
        return tanh(W @ x + s * (R @ h))

    torch._dynamo.reset()
    layer = gatewise.Recurrent(own, 3, 4)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    x = torch.randn(5, 2, 3)
    torch.testing.assert_close(compiled(x), layer(x))


# The operators are known as soon as the kernels are imported; `import gatewise` alone loads nothing.
READER = """
import pathlib, sys, torch, gatewise.kernels
for folder in pathlib.Path(sys.argv[1]).iterdir():
    program = torch.export.load(folder / "program.pt2").module()
    arguments = torch.load(folder / "arguments.pt")
    torch.save([program(*one) for one in arguments], folder / "outputs.pt")
"""


@pytest.mark.parametrize(
    ("cell", "options"), [WITH_OPTIONS[1], WITH_OPTIONS[2], WITH_OPTIONS[3], WITH_OPTIONS[5]], ids=str
)
def test_an_exported_program_keeps_time_and_batch_dynamic(cell: str, options: dict[str, Any]):
    model = Model(cell, **options).eval()
    steps, batch = Dim("steps", min=2), Dim("batch", min=2)
    sizes = {0: batch, 1: steps} if model.layer.batch_first else {0: steps, 1: batch}
    program = torch.export.export(model, inputs(model, 5, 3), dynamic_shapes=(sizes, {0: batch}, sizes))
    for shape in SHAPES:
        arguments = inputs(model, *shape)
        torch.testing.assert_close(program.module()(*arguments), model(*arguments))


def test_an_exported_program_runs_in_a_fresh_process(tmp_path: Path):
    """A built-in and a local cell, which travels as its equations."""
    expected: dict[Path, list[Any]] = {}
    for cell, options in (WITH_OPTIONS[1], WITH_OPTIONS[5]):
        folder = tmp_path / cell
        folder.mkdir()
        model = Model(cell, **options).eval()
        steps, batch = Dim("steps", min=2), Dim("batch", min=2)
        sizes = {0: steps, 1: batch}
        program = torch.export.export(model, inputs(model, 5, 3), dynamic_shapes=(sizes, {0: batch}, sizes))
        torch.export.save(program, folder / "program.pt2")
        arguments = [inputs(model, *shape) for shape in SHAPES]
        torch.save(arguments, folder / "arguments.pt")
        expected[folder] = [model(*one) for one in arguments]
    ran = subprocess.run(
        [sys.executable, "-c", READER, str(tmp_path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    for folder, outputs in expected.items():
        torch.testing.assert_close(torch.load(folder / "outputs.pt"), outputs)


def test_a_compiled_model_is_copied_and_trained():
    torch._dynamo.reset()
    model = Model("gru_cho2014")
    compiled = torch.compile(copy.deepcopy(model), fullgraph=True, dynamic=True, backend="aot_eager")
    plain = copy.deepcopy(model)
    for network in (compiled, plain):
        optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
        for shape in SHAPES:
            optimiser.zero_grad()
            network(*inputs(model, *shape))[0].square().mean().backward()
            optimiser.step()
    for a, b in zip(compiled.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(a, b)
