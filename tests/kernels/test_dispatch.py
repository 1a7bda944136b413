"""Which backend runs a call, why, and that it is the one that ran."""

import dataclasses
import re
from typing import Any

import pytest
import torch
from torch import Tensor

import gatewise
from gatewise.kernels import Call, backend_for, check_backend_name, run
from gatewise.kernels.dispatch import BACKENDS, Choice, choose
from gatewise.kernels.gradient import Recorded
from tests.agreement import CELLS, operators_only
from tests.kernels.calls import call_of

SERVED = {"lstm", "gru_cudnn", "rnn_tanh", "rnn_relu"}

# What torch's kernels refuse on the CPU, and how they say it.
REFUSED: dict[str, tuple[Call, str]] = {
    "equations": (call_of("peephole_lstm"), "torch has no kernel for the equations of peephole_lstm (it has lstm, "),
    "reset": (call_of("lstm", reset=True), "torch's kernels cannot reset the state inside a sequence"),
    "reverse": (call_of("lstm", "reverse"), "torch's kernels read a sequence backward only beside the forward"),
    "bfloat16": (call_of("lstm", dtype=torch.bfloat16), "whether torch's CPU kernels take bfloat16 depends"),
    "float16": (call_of("lstm", dtype=torch.float16), "whether torch's CPU kernels take float16 depends"),
    "empty batch": (call_of("lstm", batch=0), "torch's kernels do not take an empty batch"),
    "empty row": (call_of("lstm", lengths=[4, 0, 1]), "torch's PackedSequence has no row of length 0"),
}


@pytest.mark.parametrize("lengths", [None, [4, 4, 4], [1, 4, 2]], ids=str)
@pytest.mark.parametrize("directions", ["forward", "bidirectional"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("cell", CELLS)
def test_torch_runs_what_it_serves(cell: str, dtype: torch.dtype, directions: Any, lengths: list[int] | None):
    choice = backend_for(call_of(cell, directions, dtype=dtype, lengths=lengths))
    if cell in SERVED:
        assert choice == Choice("torch", "the fastest backend there is for this call")
    else:
        assert choice.name == "reference"
        assert choice.reason.startswith(f"not torch: torch has no kernel for the equations of {cell}")
    assert str(choice) == f"{choice.name}: {choice.reason}"


@pytest.mark.parametrize("situation", REFUSED)
def test_the_reference_runs_what_torch_refuses_and_says_why(situation: str):
    call, reason = REFUSED[situation]
    choice = backend_for(call)
    assert choice.name == "reference"
    assert choice.reason.startswith(f"not torch: {reason}")


@pytest.mark.parametrize("situation", REFUSED)
def test_a_backend_by_name_that_cannot_run_raises_with_the_reason(situation: str):
    call, reason = REFUSED[situation]
    message = re.escape(f"backend 'torch' was asked for by name and cannot run this call: {reason}")
    for function in (backend_for, run):
        with pytest.raises(ValueError, match=message + r".*; use backend='auto'$"):
            function(call, backend="torch")
    with operators_only(), pytest.raises(ValueError, match=message):
        run(call, backend="torch")


@pytest.mark.parametrize("name", BACKENDS)
def test_a_backend_by_name(name: str):
    assert backend_for(call_of("lstm"), backend=name) == Choice(name, "asked for by name")


def test_unknown_backends_are_refused():
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

    assert backend_for(call_of(own)).name == "torch"
    assert backend_for(call_of(lstm)).name == "reference"


def test_torch_runs_on_cpu_and_cuda_alone():
    choice = backend_for(call_of("lstm", device="meta"))
    assert choice == Choice("reference", "not torch: torch's kernels are used on cpu and cuda, not on meta")


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
            self._watch(monkeypatch, name, module)

    def _watch(self, monkeypatch: pytest.MonkeyPatch, name: str, module: Any) -> None:
        original = module.run

        def spied(call: Call) -> tuple[Tensor, tuple[Tensor, ...]]:
            self.ran.append(name)
            return original(call)

        monkeypatch.setattr(module, "run", spied)


@pytest.fixture
def spy(monkeypatch: pytest.MonkeyPatch) -> Spy:
    return Spy(monkeypatch)


@pytest.mark.parametrize("every", [None, 2])
@pytest.mark.parametrize("inside", [False, True])
def test_the_backend_that_was_chosen_runs(spy: Spy, inside: bool, every: int | None):
    for call in (call_of("lstm"), *(call for call, _ in REFUSED.values())):
        for asked in ("auto", "reference"):
            expected = backend_for(call, backend=asked).name
            spy.ran.clear()
            if inside:
                with operators_only():
                    run(call, backend=asked, checkpoint_every=every)
            else:
                run(call, backend=asked, checkpoint_every=every)
            assert spy.ran == [expected]


def test_the_chosen_backend_recomputes_too(spy: Spy):
    for asked in BACKENDS:
        # All at once; then up to the last segment; then each of the two segments again.
        for every, times in ((2, 4), (None, 1)):
            output, _ = run(call_of("lstm"), backend=asked, checkpoint_every=every)
            output.sum().backward()
            assert spy.ran == [asked] * times
            spy.ran.clear()
        with operators_only():
            output, _ = run(call_of("lstm"), backend=asked)
        output.sum().backward()
        assert spy.ran == [asked] * 2
        spy.ran.clear()


def test_what_was_recorded_is_not_run_again(spy: Spy):
    for asked in BACKENDS:
        call = call_of("lstm")
        output, *_ = Recorded.apply(call, asked, *call.tensors)
        output.sum().backward()
        assert spy.ran == [asked]
        spy.ran.clear()


def test_a_layer_passes_its_segments_on(spy: Spy):
    layer = gatewise.LSTM(3, 4, checkpoint_every=2)
    layer(torch.randn(4, 2, 3))[0].sum().backward()
    assert spy.ran == ["torch"] * 4


def test_a_layer_passes_its_backend_on(spy: Spy):
    x = torch.randn(5, 2, 3)
    for asked in ("reference", "torch"):
        layer = gatewise.LSTM(3, 4, num_layers=2, backend=asked)
        assert layer.backend_for(x) == Choice(asked, "asked for by name")
        layer(x)
        assert spy.ran == [asked] * 2
        spy.ran.clear()
        layer.step(x[0])
        assert spy.ran == [asked] * 2
        spy.ran.clear()
    layer = gatewise.LSTM(3, 4)
    assert layer.backend_for(x, reset=torch.zeros(5, 2, dtype=torch.bool)).name == "reference"
    assert layer.backend_for(x, lengths=[5, 1]).name == "torch"
    assert layer.backend_for(x, lengths=[5, 0]).name == "reference"
    assert layer.backend_for(x[:, 0]).name == "torch"
    assert gatewise.LSTM(3, 4, bias=False).backend_for(x).name == "torch"
    with pytest.raises(ValueError, match="lengths: expected values between"):
        layer.backend_for(x, lengths=[6, 1])
    with pytest.raises(ValueError, match="backend 'torch' was asked for by name"):
        gatewise.PeepholeLSTM(3, 4, backend="torch")(x)


def test_one_direction_of_a_call():
    call = call_of("lstm", "bidirectional")
    assert call.direction_count == 2
    assert call.hidden_size == 2
    forward, reverse = call.single_directions()
    assert (forward.directions, reverse.directions) == ("forward", "reverse")
    assert [part.direction_count for part in (forward, reverse)] == [1, 1]
    again = dataclasses.replace(call, directions="forward")
    assert again.single_directions() == [again]
