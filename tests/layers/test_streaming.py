"""A stream is the sequence at once, and its state is there at any time."""

import copy
import threading
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

import gatewise
from tests.agreement import CELLS, possible
from tests.combinations import combinations
from tests.kernels.engine import needs_engine
from tests.layers.general_path import in_full, validations
from tests.layers.oracle import check_steps


def tuple_of(state: Tensor | tuple[Tensor, ...] | None) -> tuple[Tensor, ...]:
    assert state is not None
    return state if isinstance(state, tuple) else (state,)


@combinations(
    {
        "cell": CELLS,
        "shape": [(6, 1, 3), (6, 3, 3), (6, 3)],
        "dtype": [torch.float32, torch.float64],
        "gradients": [False, True],
    }
)
def test_a_stream_is_the_sequence(cell: str, shape: tuple[int, ...], dtype: torch.dtype, gradients: bool):
    torch.manual_seed(0)
    layer = gatewise.Recurrent(CELLS[cell], 3, 8, num_layers=2, init="torch", dtype=dtype)
    x = torch.randn(shape, dtype=dtype)
    reset = torch.rand(shape[:-1]) < 0.3
    hx = possible(layer.cell, [torch.randn((2, *shape[1:-1], 8), dtype=dtype) for _ in layer.cell.states])
    with torch.set_grad_enabled(gradients):
        stream = layer.stream(x, hx if len(hx) > 1 else hx[0], reset=reset)
        outputs = list(stream)
    assert outputs[-1].requires_grad == gradients
    check_steps(layer, outputs, stream.state, x, hx, reset=reset)


@needs_engine
@torch.no_grad()
def test_a_stream_is_a_loop_of_steps_and_validates_none(monkeypatch: pytest.MonkeyPatch):
    layer = gatewise.LSTM(3, 5, num_layers=2)
    inputs = [torch.randn(1, 3) for _ in range(7)]
    state, expected = None, []
    for x_t in inputs:
        with layer.frozen():  # packed weights, as a stream's: sums in the same order
            y_t, state = layer.step(x_t, state)
        expected.append(y_t)
    general = validations(monkeypatch)
    stream = layer.stream(inputs)
    assert iter(stream) is stream
    assert all(map(torch.equal, stream, expected))
    assert all(map(torch.equal, stream.state, state))
    assert not general
    assert next(stream, None) is None


@torch.no_grad()
def test_inputs_are_asked_for_one_at_a_time():
    asked: list[int] = []

    def inputs() -> Iterator[Tensor]:
        for index in range(3):
            asked.append(index)
            yield torch.zeros(1, 3)

    stream = gatewise.GRU(3, 5).stream(inputs())
    assert asked == []
    next(stream)
    assert asked == [0]
    assert len(list(stream)) == 2


@torch.no_grad()
def test_states_and_outputs_that_are_kept_stay():
    layer = gatewise.LSTM(3, 5)
    start = torch.randn(1, 1, 5), torch.randn(1, 1, 5)
    given = [one.clone() for one in start]
    stream = layer.stream(torch.randn(9, 1, 3), start)
    kept = []
    for y_t in stream:
        kept.append((y_t, *stream.state, y_t.clone(), *(one.clone() for one in stream.state)))
        for one in stream.state:
            one.zero_()  # a copy: the stream does not see it
    for y_t, h, c, y_then, h_then, c_then in kept:
        assert torch.equal(y_t, y_then)
        assert torch.equal(h, h_then)
        assert torch.equal(c, c_then)
        assert torch.equal(y_t, h[0])
    assert all(map(torch.equal, start, given))


@torch.no_grad()
def test_the_state_can_be_read_and_assigned():
    layer = gatewise.GRU(3, 5)
    x = torch.randn(8, 2, 3)
    stream = layer.stream(x)
    assert stream.state is None
    for _ in range(4):
        next(stream)
    middle = stream.state
    first = [next(stream) for _ in range(2)]
    again = layer.stream(x[4:])
    again.state = middle
    assert all(map(torch.equal, first, again))
    stream.state = None
    torch.testing.assert_close(next(stream), layer.step(x[6])[0])
    stream.state = torch.ones(1, 2, 5)
    torch.testing.assert_close(next(stream), layer.step(x[7], torch.ones(1, 2, 5))[0])


@torch.no_grad()
def test_states_of_the_caller_are_not_written_to():
    layer, x = gatewise.LSTM(3, 4), torch.randn(9, 2, 3)
    first, second = (tuple(torch.randn(2, 1, 2, 4)) for _ in range(2))
    copies = [one.clone() for one in (*first, *second)]
    stream = layer.stream(x, first)
    for step, _ in enumerate(stream):
        if step == 4:
            stream.state = second
    assert all(map(torch.equal, copies, (*first, *second)))
    torch.testing.assert_close(stream.state, layer(x[5:], second)[1])


@torch.no_grad()
def test_rows_begin_anew_where_flags_say_so():
    layer = gatewise.LSTM(3, 5)
    x = torch.randn(6, 2, 3)
    flags = [None, None, torch.tensor([True, False]), None, torch.tensor([False, True]), None]
    actual = torch.stack(list(layer.stream(x, reset=flags)))
    reset = torch.stack([torch.zeros(2, dtype=torch.bool) if one is None else one for one in flags])
    torch.testing.assert_close(actual, layer(x, reset=reset)[0])


@torch.no_grad()
def test_new_weights_count_from_the_next_step_after_refresh():
    layer, other = gatewise.GRU(3, 5), gatewise.GRU(3, 5)
    x = torch.randn(9, 1, 3)
    stream, state, expected = layer.stream(x), None, []
    actual = []
    for index, x_t in enumerate(x):
        before = copy.deepcopy(layer)
        if index == 3:
            layer.weight_hh_l0.mul_(-1)
        if index == 4:
            layer.bias_hh_l0 = nn.Parameter(torch.ones(15))
        if index in (3, 4):
            layer.refresh()
        if index == 5:
            layer.load_state_dict(other.state_dict())
        if index == 6:
            layer.reset_parameters()
        if index == 7:
            layer.weight_hh_l0.mul_(-1)  # not seen: the stream reads its own copy
        actual.append(next(stream))
        output, state = in_full(before if index >= 7 else layer, x_t, state)
        if index == 7:
            layer.weight_hh_l0.mul_(-1)
        expected.append(output[0])
    torch.testing.assert_close(actual, expected)


def test_gradients_between_steps_without_them():
    """What a step with gradients has recorded is not written to later."""
    layer = gatewise.LSTM(3, 5, dtype=torch.float64)
    x = torch.randn(9, 1, 3, dtype=torch.float64)
    stream = layer.stream(x)
    with torch.no_grad():
        for _ in range(4):
            next(stream)
        state = stream.state
    recorded = next(stream)
    with torch.no_grad():
        for _ in range(4):
            next(stream)
    actual = torch.autograd.grad(recorded.sum(), layer.weight_hh_l0)
    expected = torch.autograd.grad(layer.step(x[4], state)[0].sum(), layer.weight_hh_l0)
    torch.testing.assert_close(actual, expected)


@torch.no_grad()
def test_rows_and_layouts_may_change_where_the_state_allows_it():
    layer = gatewise.RNN(3, 5)
    x = torch.randn(6, 2, 3)
    gaps = x.transpose(1, 2).contiguous().transpose(1, 2)
    mixed = [gaps[index] if index in (2, 3) else x[index] for index in range(6)]
    torch.testing.assert_close(torch.stack(list(layer.stream(mixed))), layer(x)[0])


@torch.no_grad()
def test_a_wrong_step_leaves_the_stream_as_it_was():
    layer = gatewise.LSTM(3, 5)
    x = torch.randn(5, 2, 3)
    inputs = [*x[:3], torch.zeros(2, 4), torch.zeros(3, 3), x[3].double(), "x", *x[3:]]
    stream = layer.stream(inputs)
    actual = [next(stream) for _ in range(3)]
    for error, message in (
        (ValueError, "input: expected .*I=3"),
        (ValueError, "hx .*"),
        (TypeError, "input: expected torch.float32"),
        (ValueError, "x_t: expected a tensor"),
    ):
        before = stream.state
        with pytest.raises(error, match=message):
            next(stream)
        assert all(map(torch.equal, stream.state, before))
    actual += stream
    torch.testing.assert_close(torch.stack(actual), layer(x)[0])


@torch.no_grad()
def test_too_few_flags_raise():
    stream = gatewise.LSTM(3, 5).stream(torch.zeros(3, 2, 3), reset=torch.zeros(2, 2, dtype=torch.bool))
    next(stream), next(stream)
    with pytest.raises(ValueError, match=r"reset: expected flags for every step, got fewer .*; pass \(B,\) bool"):
        next(stream)


def test_values_that_are_not_iterable_raise():
    layer = gatewise.LSTM(3, 5)
    with pytest.raises(TypeError, match=r"^inputs: expected an iterable of x_t, \(B, I\) or \(I,\), .*, got int$"):
        layer.stream(5)  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match=r"^inputs: .* got a tensor without dimensions$"):
        layer.stream(torch.tensor(1.0))
    for name in ("reset", "mask"):
        with pytest.raises(TypeError, match=rf"^{name}: expected an iterable of flags, .*, got bool$"):
            layer.stream([], **{name: True})


@pytest.mark.parametrize("layer", [gatewise.BiLSTM(3, 5), gatewise.LSTM(3, 5, reverse=True)], ids=["both", "reverse"])
def test_layers_that_read_from_the_end_cannot_stream(layer: gatewise.LSTM):
    with pytest.raises(ValueError, match=r"^stream: this layer reads from the end"):
        layer.stream([])
    with pytest.raises(ValueError, match=r"^step: this layer reads from the end"):
        layer.step(torch.zeros(1, 3))


def test_streams_side_by_side():
    layer = gatewise.LSTM(3, 5)
    inputs = [torch.randn(200, 1, 3) for _ in range(4)]
    with torch.no_grad():
        layer.step(inputs[0][0])
        expected = [list(layer.stream(x)) for x in inputs]
        in_turns = list(zip(*(layer.stream(x) for x in inputs), strict=True))
    for index, outputs in enumerate(in_turns):
        assert all(torch.equal(one, expected[of][index]) for of, one in enumerate(outputs))
    wrong: list[object] = []

    def run(x: Tensor, right: list[Tensor]) -> None:
        try:
            with torch.no_grad():
                for _ in range(3):
                    if not all(map(torch.equal, layer.stream(x), right)):
                        wrong.append("other numbers")
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=run, args=both) for both in zip(inputs, expected, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
