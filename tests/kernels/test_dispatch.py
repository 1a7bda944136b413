"""Which backend runs a call, why, and that it is the one that ran."""

import dataclasses
import re
from dataclasses import replace
from typing import Any

import pytest
import torch

import gatewise
from gatewise.cells import lookup, names
from gatewise.compiler import with_single_bias, without_bias
from gatewise.kernels import Call, Directions, backend_for, check_backend_name, cpu, run
from gatewise.kernels.backend import differentiates
from gatewise.kernels.choice import Choice
from gatewise.kernels.dispatch import BACKENDS, choose
from gatewise.kernels.gradient import Recorded
from tests.agreement import CELLS, operators_only
from tests.combinations import combinations
from tests.kernels.calls import DIRECTIONS, call_of
from tests.kernels.engine import needs_engine

FASTEST = "the fastest backend there is for this call"
SERVED = {"lstm", "gru_cudnn", "rnn_tanh", "rnn_relu"}

# Refusals of torch's kernels on the CPU, with their reasons.
REFUSED: dict[str, tuple[Call, str]] = {
    "equations": (call_of("peephole_lstm"), "torch has no kernel for the equations of peephole_lstm (it has lstm, "),
    "reset": (call_of("lstm", reset=True), "torch's kernels cannot reset the state inside a sequence"),
    "bfloat16": (call_of("lstm", dtype=torch.bfloat16), "whether torch's CPU kernels take bfloat16 depends"),
    "float16": (call_of("lstm", dtype=torch.float16), "whether torch's CPU kernels take float16 depends"),
    "empty batch": (call_of("lstm", batch=0), "torch's kernels do not take an empty batch"),
    "empty row": (call_of("lstm", lengths=[4, 0, 1]), "torch's PackedSequence has no row of length 0"),
}
# Refusals of the compiled engine; tests/kernels/test_user_cells.py has the cells that cannot be compiled.
NOT_COMPILED: dict[str, tuple[Call, str]] = {
    "float16": (
        call_of("lstm", dtype=torch.float16),
        "the fused CPU kernels compute in float32, float64 and bfloat16, not in float16",
    ),
    "device": (call_of("lstm", device="meta"), "the fused CPU kernels do not run on meta"),
}
ABSENT = "the engine has been left at home"


@pytest.fixture
def without_engine(monkeypatch: pytest.MonkeyPatch):
    """As where the package was installed without compiled kernels."""
    monkeypatch.setattr(cpu.library, "why_missing", lambda: ABSENT)


@needs_engine
@combinations(
    {
        "cell": names(),
        "dtype": [torch.float32, torch.float64],
        "directions": DIRECTIONS,
        "options": [{}, {"lengths": [1, 4, 0], "reset": True}, {"batch": 0}],
    }
)
def test_the_engine_runs_every_built_in_cell(
    cell: str, dtype: torch.dtype, directions: Directions, options: dict[str, Any]
):
    with_bias = call_of(cell, directions, dtype=dtype, **options)
    others = [
        call_of(form(lookup(cell)), directions, dtype=dtype, **options) for form in (without_bias, with_single_bias)
    ]
    for call in (with_bias, *others):
        assert backend_for(call) == Choice("cpu", FASTEST)


@needs_engine
@pytest.mark.parametrize("situation", NOT_COMPILED)
def test_refusals_of_the_engine(situation: str):
    call, reason = NOT_COMPILED[situation]
    choice = backend_for(call)
    assert choice.name == "reference"
    assert choice.reason.startswith(f"not cpu: {reason}; not torch: ")
    assert str(choice) == f"reference: {choice.reason}"


def test_without_the_engine_the_next_backend_runs_and_says_why(without_engine: None):
    assert backend_for(call_of("lstm")) == Choice("torch", f"not cpu: {ABSENT}")
    choice = backend_for(call_of("gru_cho2014"))
    assert choice.name == "reference"
    assert choice.reason.startswith(f"not cpu: {ABSENT}; not torch: torch has no kernel for the equations of gru_cho")
    with pytest.raises(
        ValueError, match=f"backend 'cpu' was asked for by name and cannot run this call: {ABSENT}; use"
    ):
        run(call_of("lstm"), backend="cpu")


@combinations(
    {
        "cell": CELLS,
        "dtype": [torch.float32, torch.float64],
        "directions": DIRECTIONS,
        "lengths": [None, [4, 4, 4], [1, 4, 2]],
    }
)
def test_torch_runs_what_it_serves(
    cell: str, dtype: torch.dtype, directions: Any, lengths: list[int] | None, without_engine: None
):
    call = call_of(cell, directions, dtype=dtype, lengths=lengths)
    choice = backend_for(call)
    if cell in SERVED:
        assert choice == Choice("torch", f"not cpu: {ABSENT}")
        assert backend_for(call, backend="torch") == Choice("torch", "asked for by name")
    else:
        assert choice.name == "reference"
        assert choice.reason.endswith(
            f"not torch: torch has no kernel for the equations of {cell} (it has lstm, lstm_projected, gru_cudnn, "
            "rnn_tanh, rnn_relu)"
        )


@pytest.mark.parametrize("situation", REFUSED)
def test_the_reference_runs_refusals_of_torch_with_the_reason(situation: str, without_engine: None):
    call, reason = REFUSED[situation]
    choice = backend_for(call)
    assert choice.name == "reference"
    assert f"; not torch: {reason}" in choice.reason


@pytest.mark.parametrize(
    ("backend", "call", "reason"),
    [
        *(pytest.param("torch", *refused, id=f"torch, {why}") for why, refused in REFUSED.items()),
        *(pytest.param("cpu", *refused, id=f"cpu, {why}", marks=needs_engine) for why, refused in NOT_COMPILED.items()),
    ],
)
def test_a_backend_by_name_that_cannot_run_raises_with_the_reason(backend: str, call: Call, reason: str):
    message = re.escape(f"backend {backend!r} was asked for by name and cannot run this call: {reason}")
    for function in (backend_for, run):
        with pytest.raises(ValueError, match=message + r".*; use backend='auto'$"):
            function(call, backend=backend)
    if call.x.device.type == "cpu":
        with operators_only(), pytest.raises(ValueError, match=message):
            run(call, backend=backend)


@pytest.mark.parametrize("name", ["torch", "reference", pytest.param("cpu", marks=needs_engine)])
def test_a_backend_by_name(name: str):
    assert backend_for(call_of("lstm"), backend=name) == Choice(name, "asked for by name")


def test_unknown_backends_raise():
    message = f"backend: expected one of auto, {', '.join(BACKENDS)}, got 'cudnn'"
    for function in (lambda: check_backend_name("cudnn"), lambda: choose(call_of("lstm"), "cudnn")):
        with pytest.raises(ValueError, match=message):
            function()


def test_equations_count_not_names():
    """A user's cell with an LSTM's equations and layout runs on torch; one of the same name with others does not."""
    from gatewise.equations import cell, sigmoid, tanh

    @cell
    def own(x, h, c, /, W, R, b, d):
        i = sigmoid(W.i @ x + b.i + R.i @ h + d.i)
        f = sigmoid(W.f @ x + b.f + R.f @ h + d.f)
        g = tanh(W.g @ x + b.g + R.g @ h + d.g)
        o = sigmoid(W.o @ x + b.o + R.o @ h + d.o)
        c = f * c + i * g
        return o * tanh(c), c

    @cell
    def lstm(x, h, c, /, W, R, b, d):
        f = sigmoid(W.f @ x + b.f + R.f @ h + d.f)
        i = sigmoid(W.i @ x + b.i + R.i @ h + d.i)
        g = tanh(W.g @ x + b.g + R.g @ h + d.g)
        o = sigmoid(W.o @ x + b.o + R.o @ h + d.o)
        c = f * c + i * g
        return o * tanh(c), c

    # Only the equations determine what is compiled into the engine.
    assert cpu.refusal(call_of(own)) == cpu.refusal(call_of("lstm"))
    with pytest.raises(ValueError, match="torch has no kernel for the equations of lstm"):
        backend_for(call_of(lstm), backend="torch")
    assert backend_for(call_of(own), backend="torch").name == "torch"


def test_torch_runs_on_cpu_and_cuda_alone():
    choice = backend_for(call_of("lstm", device="meta"))
    assert choice.name == "reference"
    assert choice.reason.endswith("; not torch: torch's kernels are used on cpu and cuda, not on meta")


def test_lengths_out_of_range():
    for lengths, wrong in (([4, 5, 1], 5), ([4, -2, 1], -2)):
        message = f"lengths: expected values between 0 and T=4, the number of steps of input, got {wrong}; pass the"
        for function in (backend_for, run):
            with pytest.raises(ValueError, match=message):
                function(call_of("lstm", lengths=lengths))


class Spy:
    """Counts what each backend is asked to run."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ran: list[str] = []
        for name, module in BACKENDS.items():
            for function in {"forward", "backward"} & vars(module).keys():
                self._watch(monkeypatch, name, module, function)

    def _watch(self, monkeypatch: pytest.MonkeyPatch, name: str, module: Any, function: str) -> None:
        original = getattr(module, function)

        def spied(call: Call, *others: Any) -> Any:
            self.ran.append(name)
            return original(call, *others)

        monkeypatch.setattr(module, function, spied)


def able(call: Call) -> list[str]:
    """The backends that can run a call."""
    return [name for name, module in BACKENDS.items() if module.refusal(call) is None]


@pytest.fixture
def spy(monkeypatch: pytest.MonkeyPatch) -> Spy:
    return Spy(monkeypatch)


@pytest.mark.parametrize("every", [None, 2])
@pytest.mark.parametrize("inside", [False, True])
def test_the_backend_that_was_chosen_runs(spy: Spy, inside: bool, every: int | None):
    for call in (call_of("lstm"), call_of("minimal_gated_unit"), *(call for call, _ in REFUSED.values())):
        for asked in ("auto", "reference"):
            expected = backend_for(call, backend=asked).name
            spy.ran.clear()
            if inside:
                with operators_only():
                    run(replace(call, checkpoint_every=every), backend=asked)
            else:
                run(replace(call, checkpoint_every=every), backend=asked)
            if every is None or inside or not any(tensor.requires_grad for tensor in call.tensors):
                assert spy.ran == [expected]
            else:
                assert set(spy.ran) <= {expected, "reference"}  # a segment can be what the whole is not


def test_the_chosen_backend_recomputes_too(spy: Spy):
    for asked in able(call_of("lstm")):
        # Forward, and where the backend differentiates itself backward; or each of two segments, and again.
        of_itself = differentiates(BACKENDS[asked])
        for every, times in ((2, 2 if of_itself else 4), (None, 2 if of_itself else 1)):
            output, _ = run(replace(call_of("lstm"), checkpoint_every=every), backend=asked)
            output.sum().backward()
            assert spy.ran == [asked] * times
            spy.ran.clear()
        with operators_only():
            output, _ = run(call_of("lstm"), backend=asked)
        output.sum().backward()
        # The engine hands on what it saved; others run again.
        assert spy.ran == [asked] * 2
        spy.ran.clear()


def test_what_was_recorded_is_not_run_again(spy: Spy):
    for asked in able(call_of("lstm")):
        if differentiates(BACKENDS[asked]):
            continue
        call = call_of("lstm")
        output, *_ = Recorded.apply(call, asked, *call.tensors)
        output.sum().backward()
        assert spy.ran == [asked]
        spy.ran.clear()


def test_a_layer_passes_its_segments_on(spy: Spy):
    for asked in able(call_of("lstm")):
        layer = gatewise.LSTM(3, 4, checkpoint_every=2, backend=asked)
        layer(torch.randn(4, 2, 3))[0].sum().backward()
        assert spy.ran == [asked] * (2 if differentiates(BACKENDS[asked]) else 4)
        spy.ran.clear()


def test_a_layer_passes_its_backend_on(spy: Spy):
    x = torch.randn(5, 2, 3)
    for asked in able(call_of("lstm")):
        layer = gatewise.LSTM(3, 4, num_layers=2, backend=asked)
        assert layer.backend_for(x) == Choice(asked, "asked for by name")
        layer(x)
        assert spy.ran == [asked] * 2
        spy.ran.clear()
        layer.step(x[0])
        assert spy.ran == [asked] * 2
        spy.ran.clear()
    layer = gatewise.LSTM(3, 4)
    for options in ({"reset": torch.zeros(5, 2, dtype=torch.bool)}, {"lengths": [5, 1]}, {"lengths": [5, 0]}):
        expected = layer.backend_for(x, **options).name
        layer(x, **options)
        assert spy.ran == [expected]
        spy.ran.clear()
    with pytest.raises(ValueError, match="lengths: expected values between"):
        layer.backend_for(x, lengths=[6, 1])
    with pytest.raises(ValueError, match="backend 'torch' was asked for by name"):
        gatewise.PeepholeLSTM(3, 4, backend="torch")(x)


def test_a_layer_says_which_backend_its_arguments_leave(without_engine: None):
    x = torch.randn(5, 2, 3)
    layer = gatewise.LSTM(3, 4)
    assert layer.backend_for(x, reset=torch.zeros(5, 2, dtype=torch.bool)).name == "reference"
    assert layer.backend_for(x, lengths=[5, 1]).name == "torch"
    assert layer.backend_for(x, lengths=[5, 0]).name == "reference"
    assert layer.backend_for(x[:, 0]).name == "torch"
    assert gatewise.LSTM(3, 4, bias=False).backend_for(x).name == "torch"


def test_one_direction_of_a_call():
    call = call_of("lstm", "bidirectional")
    assert call.direction_count == 2
    assert call.hidden_size == 2
    forward, reverse = call.single_directions()
    assert (forward.directions, reverse.directions) == ("forward", "reverse")
    assert [part.direction_count for part in (forward, reverse)] == [1, 1]
    again = dataclasses.replace(call, directions="forward")
    assert again.single_directions() == [again]
