"""The short way in training: the same bits as the long way, and everything unusual left to it."""

import copy
import pickle
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn.utils import parametrizations

import gatewise
from gatewise.kernels.cpu import repeated
from gatewise.layers import recurrent, training_way
from tests.agreement import CELLS
from tests.kernels.engine import needs_engine
from tests.layers.long_way import watched

pytestmark = needs_engine


@pytest.fixture(autouse=True)
def nothing_is_known() -> Iterator[None]:
    repeated._known.clear()
    yield
    repeated._known.clear()


@pytest.fixture
def long_way(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    return watched(monkeypatch)


def tuple_of(state: object) -> tuple[Tensor, ...]:
    return state if isinstance(state, tuple) else (state,)  # type: ignore[return-value]


def run(layer: nn.Module, x: Tensor, hx: object = None) -> list[Tensor]:
    """Output, final states, and the gradients of all that wants one, of a loss of them all."""
    output, finals = layer(x, hx)
    finals = tuple_of(finals)
    loss = (output * torch.arange(output.numel(), dtype=x.dtype).view(output.shape).sin()).sum()
    loss = loss + sum((at + 2) * final.square().sum() for at, final in enumerate(finals))
    leaves = [one for one in (x, *(tuple_of(hx) if hx is not None else ()), *layer.parameters()) if one.requires_grad]
    return [output.detach(), *(final.detach() for final in finals), *torch.autograd.grad(loss, leaves)]


def by_the_long_way(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> list[Tensor]:
    with monkeypatch.context() as patched:
        patched.setattr(recurrent, "training_way_of", lambda *_: None)
        return run(*arguments)  # type: ignore[arg-type]


def warm(layer: gatewise.Recurrent, x: Tensor) -> None:
    """Past the first call of this shape, which goes the long way."""
    layer(x.detach().requires_grad_())


@pytest.mark.parametrize(
    ("layers", "both", "batch_first", "dtype"),
    [
        (1, False, False, torch.float64),
        (3, False, True, torch.float32),
        (1, True, True, torch.float64),
        (2, True, False, torch.float32),
    ],
)
@pytest.mark.parametrize("cell", CELLS)
def test_the_same_bits(
    cell: str,
    layers: int,
    both: bool,
    batch_first: bool,
    dtype: torch.dtype,
    long_way: list[object],
    monkeypatch: pytest.MonkeyPatch,
):
    torch.manual_seed(0)
    options = {"batch_first": batch_first, "init": "torch", "dtype": dtype, "bidirectional": both}
    width = 19 if both else 5  # that of the lowest layer is that of one direction, too
    layer = gatewise.Recurrent(CELLS[cell], width, 19, layers, **options)
    depth = layers * (1 + both)
    for steps, rows in ((6, 3), (1, 1), (4, 1)):
        shape = (rows, steps, width) if batch_first else (steps, rows, width)
        x = torch.randn(shape, dtype=dtype).requires_grad_()
        warm(layer, x)
        for at in range(4):
            states = tuple(torch.randn(depth, rows, 19, dtype=dtype).requires_grad_() for _ in layer.cell.states)
            hx = None if at % 2 else states if len(states) > 1 else states[0]
            with torch.no_grad():
                next(layer.parameters()).mul_(0.9)
            long_way.clear()
            found = run(layer, x, hx)
            assert not long_way
            assert all(map(torch.equal, found, by_the_long_way(monkeypatch, layer, x, hx)))
            assert len(long_way) == 1


def test_dropout_between_layers(long_way: list[object], monkeypatch: pytest.MonkeyPatch):
    layer = gatewise.LSTM(5, 7, 3, dropout=0.5)
    x = torch.randn(6, 2, 5)
    warm(layer, x)
    long_way.clear()
    for training in (True, False):
        layer.train(training)
        torch.manual_seed(1)
        found = run(layer, x)
        torch.manual_seed(1)
        assert all(map(torch.equal, found, by_the_long_way(monkeypatch, layer, x)))
    assert len(long_way) == 2


@pytest.mark.parametrize("wanted", ["input", "state", "one weight"])
def test_any_subset_of_gradients(wanted: str, long_way: list[object], monkeypatch: pytest.MonkeyPatch):
    layer = gatewise.GRU(5, 7).requires_grad_(False)
    x, state = torch.randn(6, 2, 5), torch.randn(1, 2, 7)
    {"input": x, "state": state, "one weight": layer.bias_hh_l0}[wanted].requires_grad_()
    warm(layer, x)
    for _ in range(3):
        long_way.clear()
        found = run(layer, x, state)
        assert not long_way
        assert len(found) == 3
        assert all(map(torch.equal, found, by_the_long_way(monkeypatch, layer, x, state)))


def test_without_any_gradient_it_is_the_long_way(long_way: list[object]):
    layer = gatewise.GRU(5, 7)
    warm(layer, torch.randn(6, 2, 5))
    layer.requires_grad_(False)
    long_way.clear()
    assert not layer(torch.randn(6, 2, 5))[0].requires_grad
    assert len(long_way) == 1


def test_the_first_call_of_a_shape_lays_nothing_out(long_way: list[object]):
    layer = gatewise.GRU(5, 7)
    for steps in range(1, 2 * training_way.MOST_SHAPES):
        layer(torch.randn(steps, 2, 5))
    assert len(long_way) == 2 * training_way.MOST_SHAPES - 1
    assert len(layer._training_ways) <= training_way.MOST_SHAPES
    assert not any(layer._training_ways.values())
    layer(torch.randn(steps, 2, 5))
    assert len(long_way) == 2 * training_way.MOST_SHAPES - 1


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_a_copy_has_its_own_weights(copied: Callable[[gatewise.Recurrent], gatewise.Recurrent]):
    layer, x = gatewise.GRU(5, 7), torch.randn(6, 2, 5)
    for _ in range(2):
        layer(x)
    other = copied(layer)
    assert not other._training_ways
    with torch.no_grad():
        other.weight_hh_l0.zero_()
    for _ in range(2):
        assert not torch.equal(other(x)[0], layer(x)[0])


def test_weights_are_those_of_now(monkeypatch: pytest.MonkeyPatch):
    layer, x = gatewise.GRU(5, 7), torch.randn(6, 2, 5)
    warm(layer, x)
    changes: list[Callable[[], object]] = [
        lambda: setattr(layer, "weight_hh_l0", nn.Parameter(torch.randn(21, 7))),
        lambda: layer.weight_hh_l0.data.mul_(2),
        lambda: setattr(layer.weight_hh_l0, "data", torch.randn(7, 21).t()),
        lambda: layer.load_state_dict(gatewise.GRU(5, 7).state_dict(), assign=True),
        lambda: layer.double(),
    ]
    for change in changes:
        before = run(layer, x)[0]
        change()
        x = x.to(layer.weight_hh_l0.dtype)
        for _ in range(3):
            found = run(layer, x)
            assert not torch.equal(found[0], before)
            assert all(map(torch.equal, found, by_the_long_way(monkeypatch, layer, x)))


def test_weights_of_another_call_for_functional_call(monkeypatch: pytest.MonkeyPatch):
    layer, x = gatewise.GRU(5, 7), torch.randn(6, 2, 5)
    warm(layer, x)
    others = {name: torch.randn_like(one).requires_grad_() for name, one in layer.named_parameters()}
    output, _ = torch.func.functional_call(layer, others, x)
    found = torch.autograd.grad(output.sum(), list(others.values()))
    monkeypatch.setattr(recurrent, "training_way_of", lambda *_: None)
    output, _ = torch.func.functional_call(layer, others, x)
    assert all(map(torch.equal, found, torch.autograd.grad(output.sum(), list(others.values()))))


def test_parametrized_weights_go_the_long_way(long_way: list[object]):
    layer, x = gatewise.GRU(5, 7), torch.randn(6, 2, 5)
    warm(layer, x)
    parametrizations.weight_norm(layer, "weight_hh_l0")
    long_way.clear()
    for at in range(3):
        layer(x)[0].sum().backward()
        assert len(long_way) == at + 1
    assert layer.parametrizations.weight_hh_l0.original0.grad is not None


WRONG = {
    "width": (torch.randn(6, 2, 4), None),
    "dtype": (torch.randn(6, 2, 5, dtype=torch.float64), None),
    "rank": (torch.randn(6, 2, 5, 1), None),
    "state rows": (torch.randn(6, 2, 5), torch.zeros(1, 3, 7)),
    "state number": (torch.randn(6, 2, 5), (torch.zeros(1, 2, 7),) * 2),
    "state type": (torch.randn(6, 2, 5), [torch.zeros(1, 2, 7)]),
    "state dtype": (torch.randn(6, 2, 5), torch.zeros(1, 2, 7, dtype=torch.float64)),
    "no steps": (torch.randn(0, 2, 5), None),
    "no tensor": ([[1.0]], None),
}


@pytest.mark.parametrize("case", WRONG)
def test_errors_are_those_of_the_long_way(case: str):
    layer = gatewise.GRU(5, 7)
    x, hx = WRONG[case]
    for shape in ((6, 2, 5), (6, 2, 4)):
        for _ in range(2):
            layer._in_training(torch.randn(shape), None)
    messages: list[str] = []
    for _ in range(3):
        with pytest.raises((TypeError, ValueError)) as raised:
            layer(x, hx)
        messages.append(str(raised.value))
    with pytest.raises((TypeError, ValueError)) as raised:
        gatewise.GRU(5, 7)(x, hx)
    assert messages == [str(raised.value)] * 3


def test_weights_of_another_form_are_refused():
    layer, x = gatewise.GRU(5, 7), torch.randn(6, 2, 5)
    warm(layer, x)
    layer(x)
    for wrong, told in (
        (torch.randn(21, 8), r"weight_hh_l0: expected a weight of shape \(21, 7\), got \(21, 8\); put one"),
        (torch.randn(3, 7), r"weight_hh_l0: expected a weight of shape \(21, 7\), got \(3, 7\); put one"),
    ):
        layer.weight_hh_l0.data = wrong
        for _ in range(3):
            with pytest.raises(ValueError, match=told):
                layer(x)
            with torch.no_grad(), pytest.raises(ValueError, match=told):
                layer(x)
    layer.weight_hh_l0.data = torch.randn(21, 7)
    double = {name: one.detach().double().requires_grad_() for name, one in layer.named_parameters()}
    for _ in range(3):
        layer(x)
        with pytest.raises(TypeError, match=r"input: expected torch\.float64 as the layer's parameters"):
            torch.func.functional_call(layer, double, x)


@pytest.mark.parametrize("both", [False, True])
def test_watched_calls_take_it_too(both: bool, long_way: list[object], monkeypatch: pytest.MonkeyPatch):
    layer, x = gatewise.LSTM(5, 7, 2, bidirectional=both), torch.randn(6, 2, 5)
    warm(layer, x)
    long_way.clear()
    flows: list[Tensor] = []
    for _ in range(2):
        with gatewise.watch(layer, gates=True) as trace:
            layer(x)[0].square().sum().backward()
        flow = trace.gradient_flow()
        flows.append(torch.stack([flow[name] for name in flow]))
        monkeypatch.setattr(recurrent, "training_way_of", lambda *_: None)
    assert len(long_way) == 1
    assert flows[0].all()
    assert torch.equal(*flows)


@pytest.mark.filterwarnings("ignore:`torch.jit.script. is deprecated:DeprecationWarning")  # torch's own doing
def test_what_is_unusual_goes_the_long_way(long_way: list[object]):
    layer, x = gatewise.GRU(5, 7), torch.randn(6, 2, 5)
    bidirectional = gatewise.GRU(5, 7, bidirectional=True, merge="sum")
    by_segments = gatewise.GRU(5, 7, checkpoint_every=2)
    for one in (layer, bidirectional, by_segments):
        warm(one, x)
        warm(one, x)
    long_way.clear()
    wide = torch.randn(1, 2, 14)
    unusual: list[Callable[[], object]] = [
        lambda: layer(x, lengths=[6, 3]),
        lambda: layer(x, reset=torch.zeros(6, 2, dtype=torch.bool)),
        lambda: layer(x[:, 0]),
        lambda: layer(x, wide[..., ::2]),
        lambda: bidirectional(x),
        lambda: by_segments(x),
    ]
    for at, call in enumerate(unusual):
        for _ in range(3):
            call()
        layer(x)  # between them, by the short way
        assert len(long_way) == 3 * (at + 1)
    long_way.clear()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert layer(x)[0].dtype == torch.float32
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(x, torch.ones_like(x))
        assert forward_ad.unpack_dual(layer(dual)[0]).tangent is not None
    assert torch.func.vmap(lambda row: layer(row)[0])(x.expand(4, 6, 2, 5)).shape == (4, 6, 2, 7)
    assert len(long_way) == 3


def test_the_backend_is_the_one_asked_for(long_way: list[object]):
    layer, x = gatewise.GRU(5, 7, backend="cpu"), torch.randn(6, 2, 5)
    warm(layer, x)
    long_way.clear()
    layer(x)
    assert not long_way
    layer.backend = "reference"
    for at in range(3):
        layer(x)
        assert len(long_way) == at + 1
    layer.backend = "auto"
    layer(x)
    assert len(long_way) == 3


def test_saved_tensors_can_be_moved_and_changed_ones_are_noticed():
    layer, x = gatewise.LSTM(3, 4), torch.randn(5, 2, 3).requires_grad_()
    for _ in range(3):
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
