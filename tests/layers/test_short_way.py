"""The short way: the same bits as the long way, weights of now, and everything unusual left to it."""

import copy
import os
import pickle
import signal
import threading
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.utils._python_dispatch import TorchDispatchMode

import gatewise
from gatewise.layers import short_way as short_way_module
from tests.agreement import CELLS
from tests.kernels.cpu.test_weights import CHANGES
from tests.kernels.engine import needs_engine
from tests.layers.frozen import all_frozen  # noqa: F401 (a fixture)
from tests.layers.long_way import in_full, watched

pytestmark = [needs_engine, pytest.mark.usefixtures("all_frozen")]


@pytest.fixture
def long_way(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    return watched(monkeypatch)


class Marked(Tensor):
    """A subclass, whose operations are its own."""


# Products with x of ragged rows are made of all of them here, and there of the valid ones alone: a row may be summed up
# in another order.
nearly = partial(torch.allclose, atol=1e-6)


def tuple_of(state: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return state if isinstance(state, tuple) else (state,)


def warm(layer: gatewise.Recurrent, x_t: Tensor) -> None:
    """Past the first step with these weights."""
    with torch.no_grad():
        layer.step(x_t)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("shape", [(1, 5), (3, 5), (5,)], ids=str)
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("cell", CELLS)
def test_the_same_bits_as_a_sequence_of_one_step(
    cell: str, layers: int, shape: tuple[int, ...], dtype: torch.dtype, long_way: list[object]
):
    torch.manual_seed(0)
    layer = gatewise.Recurrent(CELLS[cell], 5, 19, layers, init="torch", dtype=dtype)
    state_shape = (layers, *shape[:-1], 19)
    with torch.no_grad():
        warm(layer, torch.zeros(shape, dtype=dtype))
        state = tuple(torch.randn(state_shape, dtype=dtype) for _ in layer.cell.states)
        state = state if len(state) > 1 else state[0]
        for with_reset in (False, True, False):
            x_t = torch.randn(shape, dtype=dtype)
            reset = torch.rand(shape[:-1]) < 0.5 if with_reset else None
            output, final = in_full(layer, x_t, state, reset)
            long_way.clear()
            y_t, after = layer.step(x_t, state, reset=reset)
            assert not long_way
            assert torch.equal(y_t, output[0])
            assert all(map(torch.equal, tuple_of(after), tuple_of(final)))
            state = after
        from_zero = layer.step(x_t)[0]
        assert torch.equal(from_zero, in_full(layer, x_t)[0][0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("rows", [1, 3, 8, None])
@pytest.mark.parametrize("layers", [1, 2, 4])
@pytest.mark.parametrize("cell", CELLS)
def test_the_same_bits_as_the_long_way_of_a_sequence(
    cell: str, layers: int, rows: int | None, dtype: torch.dtype, long_way: list[object]
):
    torch.manual_seed(0)
    layer = gatewise.Recurrent(CELLS[cell], 5, 19, layers, init="torch", dtype=dtype)
    batch = () if rows is None else (rows,)
    with torch.no_grad():
        warm(layer, torch.zeros(*batch, 5, dtype=dtype))
        state = tuple(torch.randn(layers, *batch, 19, dtype=dtype) for _ in layer.cell.states)
        state = state if len(state) > 1 else state[0]
        for steps in (3, 1, 2, 9, 3):  # a frame has room for more steps, or must grow
            for hx in (None, state):
                x = torch.randn(steps, *batch, 5, dtype=dtype)
                long_way.clear()
                output, final = layer(x, hx)
                assert not long_way
                every = torch.zeros(steps, *batch, dtype=torch.bool)  # resets, and none of them is taken
                expected, expected_final = layer(x, hx, reset=every)
                assert len(long_way) == 1
                assert torch.equal(output, expected)
                assert all(map(torch.equal, tuple_of(final), tuple_of(expected_final)))


@pytest.mark.parametrize(("both", "ragged"), [(True, False), (False, True), (True, True)])
@pytest.mark.parametrize("rows", [1, 3, 8])
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("cell", CELLS)
def test_both_directions_and_ragged_rows(
    cell: str, layers: int, rows: int, both: bool, ragged: bool, long_way: list[object]
):
    torch.manual_seed(0)
    layer = gatewise.Recurrent(CELLS[cell], 5, 19, layers, init="torch", bidirectional=both)
    with torch.no_grad():
        layer(torch.zeros(1, rows, 5))
        state = tuple(torch.randn(layers * (1 + both), rows, 19) for _ in layer.cell.states)
        state = state if len(state) > 1 else state[0]
        for steps in (3, 1, 2, 9, 3):  # a frame has room for more steps, or must grow
            for hx in (None, state):
                x = torch.randn(steps, rows, 5)
                lengths = torch.randint(0, steps + 1, (rows,)) if ragged else None
                long_way.clear()
                output, final = layer(x, hx, lengths=lengths)
                assert not long_way
                every = torch.zeros(steps, rows, dtype=torch.bool)  # resets, and none of them is taken
                expected, expected_final = layer(x, hx, lengths=lengths, reset=every)
                assert len(long_way) == 1
                same = nearly if ragged else torch.equal
                assert same(output, expected)
                assert all(map(same, tuple_of(final), tuple_of(expected_final)))


RAGGED = torch.randn(6, 3, 5)
LENGTHS_NOT_AS_EXPECTED: dict[str, object] = {
    "too long": torch.tensor([6, 7, 0]),
    "negative": torch.tensor([6, -1, 0]),
    "of other rows": torch.tensor([6, 1]),
    "real numbers": torch.tensor([6.0, 1.0, 2.0]),
    "for no rows": [],
}


@pytest.mark.parametrize("case", LENGTHS_NOT_AS_EXPECTED)
def test_errors_of_lengths_are_those_of_the_long_way(case: str):
    told: list[str] = []
    for laid_out in (False, True):
        layer = gatewise.LSTM(5, 19, bidirectional=True)
        with torch.no_grad():
            for _ in range(2 * laid_out):
                layer(RAGGED, lengths=torch.tensor([6, 0, 3]))
            assert bool(layer._short_ways) == laid_out
            with pytest.raises((TypeError, ValueError)) as error:
                layer(RAGGED, lengths=LENGTHS_NOT_AS_EXPECTED[case])
        told.append(f"{type(error.value).__name__}: {error.value}")
    assert told[0] == told[1]


def test_lengths_of_any_kind(long_way: list[object]):
    layer = gatewise.LSTM(5, 19, bidirectional=True)
    lengths = torch.tensor([2, 6, 0])
    with torch.no_grad():
        layer(RAGGED)
        expected, final = layer(RAGGED, lengths=lengths)
        assert not long_way
        for other in ([2, 6, 0], lengths.int(), torch.stack([lengths, lengths], 1)[:, 0], lengths.as_subclass(Marked)):
            long_way.clear()
            output, after = layer(RAGGED, lengths=other)
            assert len(long_way) == 1
            assert nearly(output.as_subclass(Tensor), expected)
            assert all(nearly(a.as_subclass(Tensor), b) for a, b in zip(after, final, strict=True))


def test_lengths_of_half_the_bits_are_not_taken_for_others():
    layer = gatewise.GRU(5, 19)
    numbers = torch.tensor([2, 0, 6, 0, 3, 0], dtype=torch.int32)  # as int64: 2, 6, 3
    with torch.no_grad():
        layer(RAGGED)
        assert torch.equal(layer(RAGGED, lengths=numbers[:3])[0], layer(RAGGED, lengths=[2, 0, 6])[0])


@pytest.mark.parametrize("merge", ["sum", "mean", "mul", "learned", None])
def test_other_merges_go_the_long_way(merge: str | None, long_way: list[object]):
    layer = gatewise.LSTM(5, 19, bidirectional=True, merge=merge)
    with torch.no_grad():
        for _ in range(3):
            layer(RAGGED)
    assert len(long_way) == 3


def test_a_change_of_the_reverse_direction_is_seen(long_way: list[object]):
    layer = gatewise.LSTM(5, 19, bidirectional=True)
    every = torch.zeros(6, 3, dtype=torch.bool)

    def replaced() -> None:
        layer.weight_hh_l0_reverse = nn.Parameter(torch.randn(76, 19))

    def assigned() -> None:
        layer.weight_ih_l0_reverse.data = torch.randn(76, 5)

    with torch.no_grad():
        for change in (lambda: layer.weight_hh_l0_reverse.zero_(), replaced, assigned):
            before = [layer(RAGGED)[0] for _ in range(3)][-1]
            change()
            after = layer(RAGGED)[0]
            assert torch.equal(after, layer(RAGGED, reset=every)[0])
            assert torch.equal(after[..., :19], before[..., :19])
            assert not torch.equal(after, before)
            long_way.clear()
            assert torch.equal(layer(RAGGED)[0], after)
            assert not long_way


@pytest.mark.parametrize("cell", ["lstm", "gru_chung2014"])
def test_batch_first(cell: str, long_way: list[object]):
    layer = gatewise.Recurrent(cell, 5, 19, 2, batch_first=True)
    with torch.no_grad():
        for rows, steps, short in ((3, 1, True), (1, 4, True), (3, 4, False)):
            warm(layer, torch.randn(rows, 5))
            x = torch.randn(rows, steps, 5)
            long_way.clear()
            output, final = layer(x)
            assert (not long_way) == short
            expected, expected_final = layer(x, lengths=[steps] * rows)
            assert torch.equal(output, expected)
            assert all(map(torch.equal, tuple_of(final), tuple_of(expected_final)))


def test_sequences_that_go_the_long_way(long_way: list[object], monkeypatch: pytest.MonkeyPatch):
    layer = gatewise.GRU(5, 19)
    x = torch.randn(6, 2, 5)
    with torch.no_grad():
        warm(layer, x[0])
        layer(x)
        long_way.clear()
        layer(x[::2])
        layer(x, lengths=torch.tensor([1, 0]), reset=torch.zeros(6, 2, dtype=torch.bool))
        layer(x, torch.zeros(1, 2, 38)[..., ::2])
        assert len(long_way) == 3
        short_way = layer._short_ways[x.shape[1:]]
        assert short_way is not None
        monkeypatch.setattr(short_way_module, "MOST_BYTES", 6 * 2 * 3 * 19 * 4)
        assert torch.equal(layer(torch.cat([x, x]))[0][:6], layer(x)[0])
        assert len(long_way) == 4
        short_way._lengths.clear()
        monkeypatch.setattr(short_way_module, "MOST_BYTES", 1 << 20)
        weights = sum(parameter.numel() for parameter in layer.parameters())
        monkeypatch.setattr(short_way_module, "MOST_AT_ONCE", 6 * 2 * weights)
        layer(x)
        assert len(long_way) == 4
        layer(torch.cat([x, x[:1]]))
        assert len(long_way) == 5
    with pytest.raises(ValueError, match="input: expected shape "):
        layer(torch.randn(1, 1, 4))
    with pytest.raises(ValueError, match="input: expected "), torch.no_grad():
        layer(torch.randn(0, 2, 5))


def test_numbers_of_steps_are_forgotten(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(short_way_module, "MOST_LENGTHS", 3)
    layer = gatewise.GRU(2, 3)
    with torch.no_grad():
        warm(layer, torch.zeros(2))
        outputs = [layer(torch.ones(steps, 2))[0] for steps in (1, 2, 3, 4, 5, 2)]
    (short_way,) = layer._short_ways.values()
    assert short_way is not None
    assert len(short_way._lengths) == 3
    for output in outputs:
        assert torch.equal(output, outputs[4][: len(output)])


@pytest.mark.parametrize("threads", [1, 2])
def test_wide_layers_on_several_threads(threads: int, long_way: list[object]):
    """Wide enough to be shared out, by units and by rows."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for rows in (1, 16):
            layer = gatewise.LSTM(40, 512)
            x_t = torch.randn(rows, 40)
            warm(layer, x_t)
            with torch.no_grad():
                output, final = in_full(layer, x_t)
                long_way.clear()
                y_t, state = layer.step(x_t)
            assert not long_way
            assert torch.equal(y_t, output[0])
            assert all(map(torch.equal, state, final))
            layer = gatewise.LSTM(40, 300, bidirectional=True)
            x, lengths = torch.randn(7, rows, 40), torch.randint(0, 8, (rows,))
            with torch.no_grad():
                layer(x)
                for options in ({}, {"lengths": lengths}):
                    long_way.clear()
                    output, final = layer(x, **options)
                    assert not long_way
                    every = torch.zeros(7, rows, dtype=torch.bool)
                    expected, expected_final = layer(x, reset=every, **options)
                    same = nearly if options else torch.equal
                    assert same(output, expected)
                    assert all(map(same, final, expected_final))
    finally:
        torch.set_num_threads(before)


def test_a_new_number_of_threads_counts(long_way: list[object]):
    layer = gatewise.LSTM(40, 512)
    x_t = torch.randn(1, 40)
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 1):
            torch.set_num_threads(threads)
            warm(layer, x_t)
            with torch.no_grad():
                layer.step(x_t)
            assert layer._short_ways[x_t.shape].threads == threads
    finally:
        torch.set_num_threads(before)


def made(seed: int = 0, **options: object) -> gatewise.Recurrent:
    torch.manual_seed(seed)
    return gatewise.Recurrent("lstm", 3, 5, backend="cpu", **options)


X = torch.randn(2, 3, generator=torch.Generator().manual_seed(9))


def start_of(layer: gatewise.Recurrent) -> tuple[Tensor, Tensor]:
    start = torch.linspace(-1, 1, 10, dtype=layer.weight_hh_l0.dtype).view(2, 5).expand(layer.num_layers, 2, 5)
    return (start.contiguous(),) * 2


def stepped(layer: gatewise.Recurrent) -> Tensor:
    return layer.step(X.to(layer.weight_hh_l0.dtype), start_of(layer))[0]


def at_once(layer: gatewise.Recurrent) -> Tensor:
    return in_full(layer, X.to(layer.weight_hh_l0.dtype), start_of(layer))[0][0]


def fresh(layer: gatewise.Recurrent) -> Tensor:
    """What a layer that has never run makes of X with the same weights."""
    again = gatewise.Recurrent("lstm", 3, 5, layer.num_layers, backend="cpu", dtype=layer.weight_hh_l0.dtype)
    for name, parameter in layer.named_parameters():
        setattr(again, name, nn.Parameter(parameter.detach().clone()))
    return at_once(again)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_weights_is_seen(change: str, layers: int, long_way: list[object]):
    layer = made(num_layers=layers)
    other = made(1, num_layers=layers)
    with torch.no_grad():
        warm(layer, X)
        before = stepped(layer)
        assert not long_way
        with torch.enable_grad():
            if change.startswith("load_state_dict"):
                layer.load_state_dict(other.state_dict(), assign="assigned" in change)
            else:
                CHANGES[change](layer)
        expected = fresh(layer)
        for _ in range(3):
            assert torch.equal(stepped(layer), expected)
        assert torch.equal(before, expected) == (change == "shared memory")
        long_way.clear()
        stepped(layer)
        assert not long_way


def test_a_change_above_the_lowest_layer_is_seen():
    layer = made(num_layers=3)
    with torch.no_grad():
        warm(layer, X)
        stepped(layer)
        layer.weight_ih_l2.zero_()
        assert torch.equal(stepped(layer), fresh(layer))
        stepped(layer)
        layer.bias_hh_l1 = nn.Parameter(torch.ones(20))
        assert torch.equal(stepped(layer), fresh(layer))
        assert torch.equal(stepped(layer), fresh(layer))


def test_refresh_and_the_end_of_frozen_end_what_is_laid_out():
    layer = made(num_layers=2)
    with torch.no_grad():
        warm(layer, X)
        stepped(layer)
        layer.weight_hh_l0.data.mul_(2)
        layer.refresh()
        assert not layer._short_ways
        assert torch.equal(stepped(layer), fresh(layer))
        stepped(layer)
        with layer.frozen():
            layer.weight_ih_l0.data.mul_(2)
            layer.refresh()
            assert torch.equal(stepped(layer), fresh(layer))
        layer.weight_ih_l0.data.mul_(2)
        assert torch.equal(stepped(layer), fresh(layer))


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))], ids=["deepcopy", "pickle"]
)
def test_a_copy_steps_by_itself(copied: Callable[[gatewise.Recurrent], gatewise.Recurrent]):
    layer = made()
    with torch.no_grad():
        warm(layer, X)
        before = stepped(layer)
        other = copied(layer)
        assert not other._short_ways
        assert layer._short_ways
        other.weight_hh_l0.zero_()
        other.weight_ih_l0.zero_()
        for _ in range(2):
            assert torch.equal(stepped(other), fresh(other))
        assert torch.equal(stepped(layer), before)


def test_layers_that_share_their_weights():
    lstm, plain = made(), gatewise.Recurrent("lstm", 3, 5, bias=False)
    plain.weight_ih_l0, plain.weight_hh_l0 = lstm.weight_ih_l0, lstm.weight_hh_l0
    with torch.no_grad():
        for _ in range(3):
            assert torch.equal(stepped(lstm), at_once(lstm))
            assert torch.equal(stepped(plain), at_once(plain))


def test_a_state_that_is_kept_stays():
    layer = made(num_layers=2)
    with torch.no_grad():
        warm(layer, X)
        y_first, first = layer.step(X)
        kept = y_first.clone(), *(one.clone() for one in first)
        y_t, state = layer.step(X, first)
        for _ in range(5):
            y_t, state = layer.step(X, state)
        for one in (y_t, *state):
            one.zero_()  # nor does anything else share their memory
        assert all(map(torch.equal, (y_first, *first), kept))
        again, _ = layer.step(X)
        assert torch.equal(again, kept[0])
    assert len({one.data_ptr() for one in (y_first, *first, y_t, *state)}) == 6


def test_threads_that_share_a_layer():
    layer = made(num_layers=2)
    starts = [torch.randn(2, 2, 5) for _ in range(4)]
    with torch.no_grad():
        warm(layer, X)
        expected = [layer.step(X, (start, start))[0] for start in starts]
    wrong: list[object] = []

    def steps(start: Tensor, right: Tensor) -> None:
        try:
            with torch.no_grad():
                for at in range(500):
                    if not torch.equal(layer.step(X, (start, start))[0], right):
                        wrong.append(at)
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=steps, args=both) for both in zip(starts, expected, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_forked_child_does_not_wait_for_threads_that_it_has_not():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        layer = gatewise.LSTM(40, 512)
        x_t = torch.randn(1, 40)
        with torch.no_grad():
            for _ in range(3):
                layer.step(x_t)
            child = os.fork()
            if child == 0:
                signal.alarm(30)
                for _ in range(3):
                    layer.step(x_t)
                os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    finally:
        torch.set_num_threads(before)


def test_frames_made_in_inference_mode_serve_outside_it():
    layer = made()
    flags = torch.tensor([True, False])
    with torch.inference_mode():
        warm(layer, X)
        inside = layer.step(X, reset=flags)
    with torch.no_grad():
        assert torch.equal(layer.step(X, reset=flags)[0], inside[0])


NOT_AS_EXPECTED: dict[str, Callable[[], tuple[tuple[object, ...], dict[str, object]]]] = {
    "x_t of another dtype": lambda: ((X.double(),), {}),
    "x_t of another width": lambda: ((torch.zeros(2, 4),), {}),
    "x_t with time": lambda: ((X[None],), {}),
    "x_t a number": lambda: ((1.0,), {}),
    "x_t on another device": lambda: ((X.to("meta"),), {}),
    "one state": lambda: ((X, torch.zeros(1, 2, 5)), {}),
    "three states": lambda: ((X, (torch.zeros(1, 2, 5),) * 3), {}),
    "a state without a batch": lambda: ((X, (torch.zeros(1, 5),) * 2), {}),
    "a state of other rows": lambda: ((X, (torch.zeros(1, 2, 5), torch.zeros(1, 3, 5))), {}),
    "a state of another dtype": lambda: ((X, (torch.zeros(1, 2, 5), torch.zeros(1, 2, 5).double())), {}),
    "a state on another device": lambda: ((X, (torch.zeros(1, 2, 5), torch.zeros(1, 2, 5, device="meta"))), {}),
    "reset of integers": lambda: ((X,), {"reset": torch.tensor([1, 0])}),
    "reset of other rows": lambda: ((X,), {"reset": torch.tensor([True])}),
    "reset a list": lambda: ((X,), {"reset": [True, False]}),
}


@pytest.mark.parametrize("case", NOT_AS_EXPECTED)
def test_errors_are_those_of_the_long_way(case: str):
    arguments, options = NOT_AS_EXPECTED[case]()
    told: list[str] = []
    for laid_out in (False, True):
        layer = made()
        with torch.no_grad():
            if laid_out:
                warm(layer, X)
                layer.step(X)
                assert layer._short_ways
            with pytest.raises((TypeError, ValueError)) as error:
                layer.step(*arguments, **options)
        told.append(f"{type(error.value).__name__}: {error.value}")
    assert told[0] == told[1]


def transposed(of: Tensor) -> Tensor:
    return of.transpose(0, -1).contiguous().transpose(0, -1)


UNUSUAL: dict[str, Callable[[gatewise.Recurrent, Tensor, tuple[Tensor, ...]], object]] = {
    "x_t with gaps": lambda layer, x, state: layer.step(transposed(x), state),
    "a state with gaps": lambda layer, x, state: layer.step(x, tuple(map(transposed, state))),
    "a list of states": lambda layer, x, state: layer.step(x, list(state)),
    "a state of a subclass": lambda layer, x, state: layer.step(x, tuple(one.as_subclass(Marked) for one in state)),
    "a subclass": lambda layer, x, state: layer.step(x.as_subclass(Marked), state),
}


@pytest.mark.parametrize("case", UNUSUAL)
def test_what_is_unusual_goes_the_long_way(case: str, long_way: list[object]):
    layer = made(num_layers=2)
    state = torch.randn(2, 2, 5), torch.randn(2, 2, 5)
    with torch.no_grad():
        warm(layer, X)
        expected, after = layer.step(X, state)
        long_way.clear()
        came, final = UNUSUAL[case](layer, X, state)
    assert len(long_way) == 1
    assert type(came) is Marked or "subclass" not in case
    assert torch.equal(came.as_subclass(Tensor), expected)
    assert all(torch.equal(a.as_subclass(Tensor), b) for a, b in zip(final, after, strict=True))


def test_gradients_go_the_long_way(long_way: list[object]):
    layer = made()
    with torch.no_grad():
        warm(layer, X)
        expected, _ = layer.step(X)
    came, _ = layer.step(X)
    assert len(long_way) == 1
    assert torch.equal(came, expected)
    assert came.requires_grad
    (gradient,) = torch.autograd.grad(came.sum(), layer.weight_ih_l0)
    assert gradient.abs().sum() > 0


class Seen(TorchDispatchMode):
    """Sees what is called."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[object] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.seen.append(func)
        return func(*args, **(kwargs or {}))


@pytest.mark.filterwarnings("ignore:`torch.jit.script. is deprecated:DeprecationWarning")  # torch's own doing
def test_forward_mode_derivatives_go_the_long_way(long_way: list[object]):
    layer = gatewise.LSTM(3, 5)
    with torch.no_grad(), forward_ad.dual_level():
        warm(layer, X)
        layer.step(X)
        dual = forward_ad.make_dual(X, torch.ones_like(X))
        came = forward_ad.unpack_dual(layer.step(dual)[0]).tangent
    assert len(long_way) == 3
    _, expected = torch.func.jvp(lambda x: layer.step(x)[0], (X,), (torch.ones_like(X),))
    torch.testing.assert_close(came, expected)


def test_transforms_and_modes_go_the_long_way(long_way: list[object]):
    layer = gatewise.LSTM(3, 5)
    with torch.no_grad():
        warm(layer, X)
        expected, _ = layer.step(X)
        long_way.clear()
        came = torch.func.vmap(lambda x: layer.step(x)[0])(X[:, None])
        torch.testing.assert_close(came[:, 0], expected)
        with torch.device("cpu"):  # a mode
            assert torch.equal(layer.step(X)[0], expected)
        with Seen() as mode:
            assert torch.equal(layer.step(X)[0], expected)
        assert mode.seen
        assert len(long_way) == 3
        with torch.autocast("cpu"):
            assert torch.equal(layer.step(X)[0], expected)


@pytest.mark.filterwarnings("ignore")
def test_compiled_steps_are_the_same():
    layer = gatewise.LSTM(3, 5)
    with torch.no_grad():
        warm(layer, X)
        expected, state = layer.step(X)
        came, final = torch.compile(lambda x: layer.step(x), fullgraph=True, backend="eager")(X)
    assert torch.equal(came, expected)
    assert all(map(torch.equal, final, state))


def test_the_backend_is_the_one_asked_for(long_way: list[object]):
    layer = made()
    with torch.no_grad():
        warm(layer, X)
        stepped(layer)
        layer.backend = "reference"
        long_way.clear()
        for _ in range(3):
            stepped(layer)
        assert len(long_way) == 3
        assert layer.backend_for(X[None]).name == "reference"
        layer.backend = "auto"
        assert layer.backend_for(X[None]).name == "cpu"
        stepped(layer)
        assert len(long_way) == 5  # with those of backend_for


def test_dropout_between_layers_in_training_goes_the_long_way(long_way: list[object]):
    layer = made(num_layers=2, dropout=0.5)
    with torch.no_grad():
        for _ in range(3):
            stepped(layer)
        assert len(long_way) == 3
        layer.eval()
        stepped(layer)
        assert len(long_way) == 3
        layer.train()
        stepped(layer)
        assert len(long_way) == 4


def test_many_rows_go_the_long_way(long_way: list[object]):
    layer = made()
    with torch.no_grad():
        for rows in (64, 65):
            for _ in range(3):
                layer.step(torch.zeros(rows, 3))
    assert len(long_way) == 3
    assert [tuple(shape) for shape in layer._short_ways] == [(64, 3)]


def test_parametrized_weights_go_the_long_way():
    layer = made()
    with torch.no_grad():
        warm(layer, X)
        stepped(layer)
        nn.utils.parametrizations.weight_norm(layer, "weight_hh_l0")
        layer.parametrizations.weight_hh_l0.original0.mul_(2)
        for _ in range(3):
            assert torch.equal(stepped(layer), at_once(layer))
