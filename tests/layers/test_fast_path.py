"""The fast path skips validation and nothing else: the same bits, the same errors, and what is unusual is validated."""

import copy
import os
import pickle
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn.utils import parametrizations
from torch.utils._python_dispatch import TorchDispatchMode

import gatewise
from gatewise.layers import fast_path, recurrent
from tests.agreement import CELLS
from tests.kernels.engine import needs_engine
from tests.layers.general_path import validations
from tests.layers.oracle import call

pytestmark = needs_engine


@pytest.fixture
def validated(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """One entry for each call that is validated."""
    return validations(monkeypatch)


def general(monkeypatch: pytest.MonkeyPatch, *arguments: Any, **options: Any) -> dict[str, Tensor]:
    """The same call by the general path."""
    with monkeypatch.context() as patched:
        patched.setattr(recurrent, "plain_inputs", lambda *_: None)
        return dict(call(*arguments, **options))


class Marked(Tensor):
    """A subclass, whose operations are its own."""


X = torch.randn(2, 3, generator=torch.Generator().manual_seed(9))


def made(**options: Any) -> gatewise.LSTM:
    torch.manual_seed(0)
    return gatewise.LSTM(3, 5, **options)


@pytest.mark.parametrize("gradients", [False, True])
@pytest.mark.parametrize(
    ("layers", "both", "batch_first", "ragged", "cut"),
    [
        (1, False, False, False, False),
        (3, False, True, False, True),
        (1, True, True, True, False),
        (2, True, False, True, True),
    ],
)
@pytest.mark.parametrize("cell", CELLS)
def test_the_same_bits_as_the_general_path(
    cell: str,
    layers: int,
    both: bool,
    batch_first: bool,
    ragged: bool,
    cut: bool,
    gradients: bool,
    validated: list[object],
    monkeypatch: pytest.MonkeyPatch,
):
    torch.manual_seed(0)
    layer = gatewise.Recurrent(CELLS[cell], 5, 19, layers, batch_first=batch_first, init="torch", bidirectional=both)
    for steps, rows in ((6, 3), (1, 1), (4, 1)):
        shape = (rows, steps) if batch_first else (steps, rows)
        x, hx = torch.randn(*shape, 5), [torch.randn(layers * (1 + both), rows, 19) for _ in layer.cell.states]
        options: dict[str, Tensor] = {}
        if ragged:
            options["lengths"] = torch.randint(0, steps + 1, (rows,))
        if cut:
            options["reset"] = torch.rand(shape) < 0.3
        for states in ([], hx):
            with torch.set_grad_enabled(gradients):
                validated.clear()
                actual = call(layer, x, states, **options)
                assert not validated
                expected = general(monkeypatch, layer, x, states, **options)
                assert len(validated) == 1
            assert actual.keys() == expected.keys()
            assert all(torch.equal(actual[name], value) for name, value in expected.items())


@pytest.mark.parametrize("threads", [1, 2])
@torch.no_grad()
def test_wide_layers_on_several_threads(threads: int, validated: list[object]):
    """Wide enough to be shared out, by units and by rows."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for rows in (1, 16):
            layer = gatewise.LSTM(40, 512)
            x_t = torch.randn(rows, 40)
            y_t, state = layer.step(x_t)
            assert not validated
            output, final = layer(x_t[None])
            torch.testing.assert_close(y_t, output[0], rtol=1e-6, atol=1e-6)
            torch.testing.assert_close(state, final, rtol=1e-6, atol=1e-6)
    finally:
        torch.set_num_threads(before)


@torch.no_grad()
def test_a_state_that_is_kept_stays():
    layer = made(num_layers=2)
    y_first, first = layer.step(X)
    kept = y_first.clone(), *(one.clone() for one in first)
    y_t, state = layer.step(X, first)
    for _ in range(5):
        y_t, state = layer.step(X, state)
    for one in (y_t, *state):
        one.zero_()  # nor does anything else share their memory
    assert all(map(torch.equal, (y_first, *first), kept))
    assert torch.equal(layer.step(X)[0], kept[0])
    assert len({one.data_ptr() for one in (y_first, *first, y_t, *state)}) == 6


@pytest.mark.parametrize("threads", [1, 2])
def test_python_threads_that_share_a_layer(threads: int):
    layer = made(num_layers=2)
    inputs = [torch.randn(6, 2, 3) for _ in range(4)]
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        expected = [call(layer, x) for x in inputs]
        wrong: list[object] = []

        def calls(x: Tensor, right: dict[str, Tensor]) -> None:
            try:
                for _ in range(100):
                    actual = call(layer, x)
                    wrong.extend(name for name, value in right.items() if not torch.equal(actual[name], value))
            except Exception as error:
                wrong.append(error)

        workers = [threading.Thread(target=calls, args=both) for both in zip(inputs, expected, strict=True)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert not wrong
    finally:
        torch.set_num_threads(before)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_forked_child_does_not_wait_for_threads_that_it_has_not():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        layer, x = gatewise.LSTM(40, 512), torch.randn(3, 4, 40)
        for _ in range(2):
            call(layer, x)
        child = os.fork()
        if child == 0:
            signal.alarm(30)
            for _ in range(2):
                call(layer, x)
                with torch.no_grad():
                    layer.step(x[0])
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    finally:
        torch.set_num_threads(before)


def test_a_signal_handler_may_call_a_layer_in_the_midst_of_a_call():
    layer, x = made(), torch.randn(6, 2, 3)
    expected = call(layer, x)
    wrong: list[str] = []

    def handler(*_: object) -> None:
        with torch.enable_grad():  # it may be off inside a backward pass
            actual = call(layer, x)
        wrong.extend(name for name, value in expected.items() if not torch.equal(actual[name], value))

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 1e-3, 1e-3)
    try:
        for _ in range(200):
            actual = call(layer, x)
            assert all(torch.equal(actual[name], value) for name, value in expected.items())
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert not wrong


def test_what_inference_mode_has_made_serves_outside_it():
    layer = made()
    with torch.inference_mode():
        inside = layer.step(X, reset=torch.tensor([True, False]))
    with torch.no_grad():
        assert torch.equal(layer.step(X, reset=torch.tensor([True, False]))[0], inside[0])
        torch.testing.assert_close(layer.step(X, inside[1])[0], layer(X[None], inside[1])[0][0])


def transposed(of: Tensor) -> Tensor:
    return of.transpose(0, -1).contiguous().transpose(0, -1)


UNUSUAL: dict[str, Callable[[gatewise.LSTM, Tensor, tuple[Tensor, ...]], Any]] = {
    "a list of states": lambda layer, x, state: layer.step(x, list(state)),
    "a state of a subclass": lambda layer, x, state: layer.step(x, tuple(one.as_subclass(Marked) for one in state)),
    "a subclass": lambda layer, x, state: layer.step(x.as_subclass(Marked), state),
}


@pytest.mark.parametrize("case", UNUSUAL)
@torch.no_grad()
def test_unusual_steps_are_validated(case: str, validated: list[object]):
    layer = made(num_layers=2)
    state = torch.randn(2, 2, 5), torch.randn(2, 2, 5)
    expected, after = layer.step(X, state)
    assert not validated
    actual, final = UNUSUAL[case](layer, X, state)
    assert len(validated) == 1
    assert type(actual) is Marked or "subclass" not in case
    torch.testing.assert_close(actual.as_subclass(Tensor), expected)
    torch.testing.assert_close([one.as_subclass(Tensor) for one in final], list(after))


@torch.no_grad()
def test_steps_with_gaps_are_not_validated(validated: list[object]):
    layer = made(num_layers=2)
    state = torch.randn(2, 2, 5), torch.randn(2, 2, 5)
    expected, after = layer.step(X, state)
    for x, before in ((transposed(X), state), (X, tuple(map(transposed, state)))):
        actual, final = layer.step(x, before)
        assert torch.equal(actual, expected)
        assert all(map(torch.equal, final, after))
    assert not validated


@pytest.mark.parametrize(
    "lengths",
    [
        [2, 6, 0],
        torch.tensor([2, 6, 0], dtype=torch.int32),
        torch.tensor([2, 6, 0]).as_subclass(Marked),
        torch.tensor([[2, 6, 0], [1, 1, 1]]).t()[:, 0],
    ],
    ids=["list", "int32", "subclass", "strided"],
)
def test_lengths_of_any_kind(lengths: Any):
    layer, x = made(bidirectional=True), torch.randn(6, 3, 3)
    expected = call(layer, x, lengths=torch.tensor([2, 6, 0]))
    actual = call(layer, x, lengths=lengths)
    assert all(torch.equal(actual[name].as_subclass(Tensor), value) for name, value in expected.items())


def test_lengths_and_resets_may_change_before_the_backward_pass():
    layer, x = made(), torch.randn(6, 2, 3)
    lengths, reset = torch.tensor([3, 6]), torch.rand(6, 2) < 0.3
    gradients: list[tuple[Tensor, ...]] = []
    for change in (False, True):
        output, _ = layer(x, lengths=lengths, reset=reset)
        if change:
            lengths.fill_(99)
            reset.fill_(True)
        gradients.append(torch.autograd.grad(output.sum(), list(layer.parameters())))
    assert all(map(torch.equal, *gradients))


WRONG: dict[str, Callable[[gatewise.LSTM], object]] = {
    "a step of another dtype": lambda layer: layer.step(X.double()),
    "a step of another width": lambda layer: layer.step(torch.zeros(2, 4)),
    "a step with time": lambda layer: layer.step(X[None]),
    "a number": lambda layer: layer.step(1.0),
    "a step on another device": lambda layer: layer.step(X.to("meta")),
    "one state": lambda layer: layer.step(X, torch.zeros(1, 2, 5)),
    "three states": lambda layer: layer.step(X, (torch.zeros(1, 2, 5),) * 3),
    "a state without a batch": lambda layer: layer.step(X, (torch.zeros(1, 5),) * 2),
    "a state of other rows": lambda layer: layer.step(X, (torch.zeros(1, 2, 5), torch.zeros(1, 3, 5))),
    "a state of another dtype": lambda layer: layer.step(X, (torch.zeros(1, 2, 5), torch.zeros(1, 2, 5).double())),
    "a state on another device": lambda layer: layer.step(X, (torch.zeros(1, 2, 5, device="meta"),) * 2),
    "reset of integers": lambda layer: layer.step(X, reset=torch.tensor([1, 0])),
    "reset of other rows": lambda layer: layer.step(X, reset=torch.tensor([True])),
    "reset a list": lambda layer: layer.step(X, reset=[True, False]),
    "a sequence of another width": lambda layer: layer(torch.zeros(6, 2, 4)),
    "a sequence of another dtype": lambda layer: layer(torch.zeros(6, 2, 3, dtype=torch.float64)),
    "too many axes": lambda layer: layer(torch.zeros(6, 2, 3, 1)),
    "no steps": lambda layer: layer(torch.zeros(0, 2, 3)),
    "no tensor": lambda layer: layer([[1.0]]),
    "rows of a state": lambda layer: layer(X[None], (torch.zeros(1, 3, 5),) * 2),
    "a list of one state": lambda layer: layer(X[None], [torch.zeros(1, 2, 5)]),
    "too long": lambda layer: layer(X[None], lengths=torch.tensor([1, 2])),
    "negative": lambda layer: layer(X[None], lengths=torch.tensor([1, -1])),
    "lengths of other rows": lambda layer: layer(X[None], lengths=torch.tensor([1])),
    "real lengths": lambda layer: layer(X[None], lengths=torch.tensor([1.0, 1.0])),
    "no lengths": lambda layer: layer(X[None], lengths=[]),
    "resets of other steps": lambda layer: layer(X[None], reset=torch.zeros(2, 2, dtype=torch.bool)),
}


@pytest.mark.parametrize("gradients", [False, True])
@pytest.mark.parametrize("case", WRONG)
def test_errors_are_those_of_the_general_path(case: str, gradients: bool, monkeypatch: pytest.MonkeyPatch):
    layer = made()
    messages: list[str] = []
    for path in ("fast", "general"):
        if path == "general":
            monkeypatch.setattr(recurrent, "plain_inputs", lambda *_: None)
            monkeypatch.setattr(recurrent, "plain_step", lambda *_, **__: None)
        with torch.set_grad_enabled(gradients), pytest.raises((TypeError, ValueError)) as raised:
            WRONG[case](layer)
        messages.append(f"{type(raised.value).__name__}: {raised.value}")
    assert messages[0] == messages[1]


def test_weights_of_another_form_raise():
    layer, x = gatewise.GRU(5, 7), torch.randn(6, 2, 5)
    for wrong, message in (
        (torch.randn(21, 8), r"weight_hh_l0: expected a weight of shape \(21, 7\), got \(21, 8\); put one"),
        (torch.randn(3, 7), r"weight_hh_l0: expected a weight of shape \(21, 7\), got \(3, 7\); put one"),
    ):
        layer.weight_hh_l0.data = wrong
        with pytest.raises(ValueError, match=message):
            layer(x)
        with torch.no_grad():
            with pytest.raises(ValueError, match=message):
                layer(x)
            with pytest.raises(ValueError, match=message):
                layer.step(x[0])
            with pytest.raises(ValueError, match=message):
                next(layer.stream(x))
    layer.weight_hh_l0.data = torch.randn(21, 7)
    double = {name: one.detach().double().requires_grad_() for name, one in layer.named_parameters()}
    with pytest.raises(TypeError, match=r"input: expected torch\.float64 as the layer's parameters"):
        torch.func.functional_call(layer, double, x)


class Seen(TorchDispatchMode):
    """Sees what is called."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[object] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen.append(func)
        return func(*args, **(kwargs or {}))


@pytest.mark.filterwarnings("ignore:`torch.jit.script. is deprecated:DeprecationWarning")  # torch's own doing
@pytest.mark.parametrize("gradients", [False, True])
def test_transforms_and_modes_are_not_passed_by(gradients: bool, validated: list[object]):
    layer, x = made(), torch.randn(6, 2, 3)
    runs: dict[str, Callable[[Tensor], Tensor]] = {"sequence": lambda x: layer(x)[0]}
    if not gradients:
        runs["step"] = lambda x: layer.step(x[0])[0][None]
    with torch.set_grad_enabled(gradients):
        for run in runs.values():
            expected = run(x)
            validated.clear()
            mapped = torch.func.vmap(run, in_dims=1, out_dims=1)(x[:, :, None])
            torch.testing.assert_close(mapped[:, :, 0], expected)
            with torch.device("cpu"):  # a mode
                torch.testing.assert_close(run(x), expected)
            with Seen() as mode:
                torch.testing.assert_close(run(x), expected)
            assert mode.seen
            with torch.autocast("cpu", torch.float16):
                torch.testing.assert_close(run(x), expected)
            with forward_ad.dual_level():
                actual = forward_ad.unpack_dual(run(forward_ad.make_dual(x, torch.ones_like(x)))).tangent
            _, tangent = torch.func.jvp(run, (x,), (torch.ones_like(x),))
            torch.testing.assert_close(actual, tangent)
            assert len(validated) == 6


@pytest.mark.filterwarnings("ignore")
@torch.no_grad()
def test_compiled_steps_are_the_same():
    layer = made()
    expected, state = layer.step(X)
    actual, final = torch.compile(lambda x: layer.step(x), fullgraph=True, backend="eager")(X)
    torch.testing.assert_close(actual, expected)
    torch.testing.assert_close(final, state)


@torch.no_grad()
def test_the_backend_is_the_one_asked_for(validated: list[object]):
    layer = made(backend="cpu")
    layer.step(X)
    layer(X[None])
    assert not validated
    layer.backend = "reference"
    layer.step(X)
    layer(X[None])
    assert len(validated) == 2
    assert layer.backend_for(X[None]).name == "reference"
    layer.backend = "auto"
    assert layer.backend_for(X[None]).name == "cpu"


def test_dropout_between_layers(validated: list[object], monkeypatch: pytest.MonkeyPatch):
    layer, x = gatewise.LSTM(5, 7, 3, dropout=0.5), torch.randn(6, 2, 5)
    outputs: list[Tensor] = []
    for training in (True, False):
        layer.train(training)
        torch.manual_seed(1)
        actual = call(layer, x)
        torch.manual_seed(1)
        expected = general(monkeypatch, layer, x)
        assert all(torch.equal(actual[name], value) for name, value in expected.items())
        outputs.append(actual["output"])
        with torch.no_grad():
            torch.manual_seed(1)
            y_t, _ = layer.step(x[0])
            torch.manual_seed(1)
            torch.testing.assert_close(y_t, layer(x[:1])[0][0])
    assert not torch.equal(*outputs)


@pytest.mark.parametrize("wanted", ["input", "state", "one weight"])
def test_any_subset_of_gradients(wanted: str):
    layer = gatewise.GRU(5, 7).requires_grad_(False)
    x, state = torch.randn(6, 2, 5), torch.randn(1, 2, 7)
    leaf = {"input": x, "state": state, "one weight": layer.bias_hh_l0}[wanted].requires_grad_()
    actual = torch.autograd.grad(layer(x, state)[0].square().sum(), leaf)
    everything = [one.requires_grad_() for one in (x, state, *layer.parameters())]
    found = torch.autograd.grad(layer(x, state)[0].square().sum(), everything)
    index = next(index for index, one in enumerate(everything) if one is leaf)
    assert torch.equal(actual[0], found[index])


def test_a_call_without_any_gradient_records_nothing():
    layer = gatewise.GRU(5, 7).requires_grad_(False)
    assert not layer(torch.randn(6, 2, 5))[0].requires_grad


def test_weights_of_another_call_for_functional_call():
    layer, x = gatewise.GRU(5, 7), torch.randn(6, 2, 5)
    others = {name: torch.randn_like(one).requires_grad_() for name, one in layer.named_parameters()}
    output, _ = torch.func.functional_call(layer, others, x)
    actual = torch.autograd.grad(output.sum(), list(others.values()))
    layer.load_state_dict(others)
    expected = torch.autograd.grad(layer(x)[0].sum(), list(layer.parameters()))
    assert all(map(torch.equal, actual, expected))


def test_parametrized_weights():
    layer, x = gatewise.GRU(5, 7), torch.randn(6, 2, 5)
    before, _ = layer(x)
    parametrizations.weight_norm(layer, "weight_hh_l0")
    torch.testing.assert_close(layer(x)[0], before)
    with torch.no_grad():
        layer.parametrizations.weight_hh_l0.original0.mul_(2)
        torch.testing.assert_close(layer.step(x[0])[0], layer(x[:1])[0][0])
    layer(x)[0].sum().backward()
    assert layer.parametrizations.weight_hh_l0.original0.grad is not None
    assert not torch.equal(layer(x)[0], before)


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))], ids=["deepcopy", "pickle"]
)
@torch.no_grad()
def test_a_copy_has_its_own_weights(copied: Callable[[gatewise.LSTM], gatewise.LSTM]):
    layer = made()
    with layer.frozen():
        before = layer.step(X)[0]
        other = copied(layer)
        other.weight_hh_l0.zero_()
        other.weight_ih_l0.zero_()
        assert not torch.equal(other.step(X)[0], before)
        torch.testing.assert_close(other.step(X)[0], other(X[None])[0][0])
        assert torch.equal(layer.step(X)[0], before)


@torch.no_grad()
def test_layers_that_share_their_weights():
    lstm, plain = made(), gatewise.Recurrent("lstm", 3, 5, bias=False)
    plain.weight_ih_l0, plain.weight_hh_l0 = lstm.weight_ih_l0, lstm.weight_hh_l0
    for one in (lstm, plain, lstm):
        torch.testing.assert_close(one.step(X)[0], one(X[None])[0][0])
    assert not torch.equal(lstm.step(X)[0], plain.step(X)[0])


def test_saved_tensors_can_be_moved_and_changed_ones_are_noticed():
    layer, x = gatewise.LSTM(3, 4), torch.randn(5, 2, 3).requires_grad_()
    expected = torch.autograd.grad(layer(x)[0].sum(), x)[0]
    with torch.autograd.graph.saved_tensors_hooks(lambda one: one.double(), lambda one: one.float()):
        moved = torch.autograd.grad(layer(x)[0].sum(), x)[0]
    assert torch.equal(moved, expected)
    recomputed = torch.utils.checkpoint.checkpoint(lambda x: layer(x)[0], x, use_reentrant=False)
    assert torch.equal(torch.autograd.grad(recomputed.sum(), x)[0], expected)
    output, _ = layer(x)
    with torch.no_grad():
        layer.weight_hh_l0.zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        output.sum().backward()


def test_sparse_and_meta_tensors_are_not_taken_for_plain_memory():
    layer = made()
    assert fast_path.plain_inputs(layer, X[None], None, None, None) is not None
    assert fast_path.plain_inputs(layer, X[None].to_sparse(), None, None, None) is None
    assert fast_path.plain_inputs(layer, X[None].to("meta"), None, None, None) is None
    layer.weight_hh_l0 = nn.Parameter(layer.weight_hh_l0.detach().to_sparse())
    with pytest.raises(TypeError, match=r"weight_hh_l0: expected a dense weight, got layout torch.sparse_coo; replace"):
        layer(X[None])
