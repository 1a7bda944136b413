"""`gatewise.Stack`: layers of different widths and cells, called as one."""

import copy
import io
import re
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_sequence, pad_packed_sequence
from torch.utils._pytree import tree_leaves, tree_map

import gatewise

T, B = 6, 3
LENGTHS = torch.tensor([6, 0, 4])
RESET = torch.rand(T, B, generator=torch.Generator().manual_seed(1)) < 0.3
MASK = torch.rand(T, B, generator=torch.Generator().manual_seed(2)) < 0.7
OPTIONS: list[dict[str, Any]] = [{}, {"lengths": LENGTHS, "reset": RESET}, {"mask": MASK, "reset": RESET}]


def made(**options: Any) -> gatewise.Stack:
    torch.manual_seed(0)
    kind: dict[str, Any] = {"dtype": torch.float64}
    return gatewise.Stack(
        [gatewise.LSTM(3, 8, **kind), gatewise.PeepholeLSTM(8, 5, 2, **kind), gatewise.GRU(5, 4, **kind)], **options
    )


def states_for(stack: gatewise.Stack) -> Any:
    found = []
    for layer in stack:
        rows = layer.num_layers * (1 + layer.bidirectional)
        states = tuple(torch.randn(rows, B, layer.hidden_size, dtype=torch.float64) for _ in layer.cell.states)
        found.append(states if len(states) > 1 else states[0])
    return tuple(found)


def by_hand(stack: gatewise.Stack, x: Any, hx: Any = None, **options: Any) -> tuple[Any, tuple[Any, ...]]:
    states = []
    for layer, state in zip(stack, hx or [None] * len(stack), strict=True):
        x, final = layer(x, state, **options)
        states.append(final)
    return x, tuple(states)


def assert_equal(actual: Any, expected: Any) -> None:
    for one, other in zip(tree_leaves(actual), tree_leaves(expected), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("options", OPTIONS, ids=lambda one: "-".join(one))
@pytest.mark.parametrize("initial", [False, True])
def test_is_its_layers_one_after_the_other(initial: bool, options: dict[str, Any]):
    stack = made()
    x = torch.randn(T, B, 3, dtype=torch.float64, requires_grad=True)
    hx = states_for(stack) if initial else None
    found = []
    for run in (stack, lambda *a, **k: by_hand(stack, *a, **k)):
        output, states = run(x, hx, **options)
        gradients = torch.autograd.grad(output.square().sum(), (x, *stack.parameters()))
        found.append((output, states, gradients))
    assert_equal(*found)
    assert_equal(stack(x, (None, None, None), **options), stack(x, **options))


@pytest.mark.parametrize("options", OPTIONS, ids=lambda one: "-".join(one))
@pytest.mark.parametrize("gradients", [False, True])
def test_steps_and_streams_are_the_sequence(gradients: bool, options: dict[str, Any]):
    stack, options = made(), {name: flags for name, flags in options.items() if name != "lengths"}
    x, hx = torch.randn(T, B, 3, dtype=torch.float64), states_for(stack)
    with torch.set_grad_enabled(gradients):
        output, final = stack(x, hx, **options)
        state, steps = hx, []
        for t, x_t in enumerate(x):
            y_t, state = stack.step(x_t, state, **{name: flags[t] for name, flags in options.items()})
            steps.append(y_t)
        stream = stack.stream(iter(x), hx, **{name: iter(flags) for name, flags in options.items()})
        for outputs, after in ((steps, state), (list(stream), stream.state)):
            torch.testing.assert_close(torch.stack(outputs), output, rtol=1e-12, atol=1e-13)
            torch.testing.assert_close(tree_leaves(after), tree_leaves(final), rtol=1e-12, atol=1e-13)
        stream = stack.stream(x)
        assert stream.state is None
        first = next(stream)
        stream.state = hx
        assert not torch.equal(next(stream), first)
        stream.state = None
        assert stream.state is None


def test_every_form_of_input():
    kind: dict[str, Any] = {"batch_first": True}
    stack = gatewise.Stack([gatewise.BiLSTM(3, 4, **kind), gatewise.BiGRU(8, 5, merge=None, **kind)])
    rows = [torch.randn(length, 3) for length in (5, 2)]
    (forward, _), ((h, c), h_gru) = stack(pack_sequence(rows))
    assert isinstance(forward, PackedSequence)
    padded = nn.utils.rnn.pad_sequence(rows, batch_first=True)
    (by_lengths, _), states = stack(padded, lengths=torch.tensor([5, 2]))
    torch.testing.assert_close(pad_packed_sequence(forward, batch_first=True)[0], by_lengths)
    torch.testing.assert_close([h, c, h_gru], tree_leaves(states))
    jagged, _ = stack(torch.nested.nested_tensor(rows, layout=torch.jagged))[0]
    torch.testing.assert_close(jagged.unbind()[1], by_lengths[1, :2])
    alone, _ = stack(rows[0])[0]
    torch.testing.assert_close(alone, by_lengths[0])
    assert [one.name for one in stack.backend_for(padded)] == [
        layer.backend_for(padded).name for layer in stack[:1]
    ] * 2


def test_dropout_between_layers_in_training_alone():
    stack = made(dropout=1.0)
    x = torch.randn(T, B, 3, dtype=torch.float64)
    dropped, _ = stack(x)
    zeros, _ = by_hand(gatewise.Stack([stack[2]]), torch.zeros(T, B, 5, dtype=torch.float64))
    torch.testing.assert_close(dropped, zeros)
    torch.testing.assert_close(stack.step(x[0])[0], zeros[0])
    with torch.no_grad():
        torch.testing.assert_close(next(stack.stream(x)), zeros[0])
    packed = pack_sequence([*x.transpose(0, 1)])
    torch.testing.assert_close(pad_packed_sequence(stack(packed)[0])[0], zeros)
    stack.eval()
    assert_equal(stack(x), by_hand(stack, x))


def test_state_dict_copies_and_text():
    stack = made(dropout=0.25, return_state=False)
    assert list(stack.state_dict())[:2] == ["0.weight_ih_l0", "0.weight_hh_l0"]
    assert "1.p_l1" in stack.state_dict()
    assert repr(stack).startswith("Stack(\n  dropout=0.25, return_state=False\n  (0): LSTM(lstm, 3, 8")
    x = torch.randn(T, B, 3, dtype=torch.float64)
    other = made(return_state=False).eval()
    other.reset_parameters()
    other.load_state_dict(stack.state_dict())
    file = io.BytesIO()
    torch.save(stack.eval(), file)
    file.seek(0)
    for one in (other, copy.deepcopy(stack), torch.load(file, weights_only=False)):
        assert torch.equal(one(x), stack(x))
    assert (stack.input_size, stack.output_size, len(stack), stack.batch_first) == (3, 4, 3, False)
    assert len(stack.all_weights) == 4
    assert nn.Sequential(stack, nn.Linear(4, 2, dtype=torch.float64))(x).shape == (T, B, 2)


@torch.no_grad()
def test_frozen():
    stack, x = made(), torch.randn(T, B, 3, dtype=torch.float64)
    before, _ = stack(x)
    with stack.frozen():
        assert torch.equal(stack(x)[0], before)
        for parameter in stack.parameters():
            parameter.data.zero_()
        assert torch.equal(stack(x)[0], before)
        stack.refresh()
        assert (stack(x)[0] == 0).all()


def test_watched_compiled_and_truncated():
    stack, x = made(), torch.randn(T, B, 3, dtype=torch.float64)
    with gatewise.watch(stack) as trace:
        stack(x)[0].square().sum().backward()
    assert len(trace.gradient_flow()) >= 1
    trace.diagnose()
    compiled = torch.compile(stack, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(tree_leaves(compiled(x, mask=MASK)), tree_leaves(stack(x, mask=MASK)))
    whole, _ = stack(x, mask=MASK)
    windows = gatewise.TBPTT(2, 4).windows(x, mask=MASK)
    torch.testing.assert_close(torch.cat([window.run(stack) for window in windows]), whole)
    with pytest.raises(ValueError, match="return_state=False"):
        next(iter(gatewise.TBPTT(2, 2).windows(x))).run(made(return_state=False))


REFUSED: dict[str, tuple[Any, type[Exception], str]] = {
    "nothing": ([], ValueError, "layers: expected at least one layer, got none"),
    "one layer": (gatewise.LSTM(3, 4), TypeError, "layers: expected a list of layers, got one LSTM; pass [layer, …]"),
    "a number": (3, TypeError, "layers: expected a list of layers, got int"),
    "of torch": ([gatewise.LSTM(3, 4), nn.LSTM(4, 4)], TypeError, "layers: expected gatewise layers, got LSTM at 1"),
    "widths": (
        [gatewise.BiLSTM(3, 4), gatewise.LSTM(4, 4)],
        ValueError,
        "layers: expected input_size=8 at 1, the width of the output of the layer below, got 4",
    ),
    "batch_first": (
        [gatewise.LSTM(3, 4), gatewise.LSTM(4, 4, batch_first=True)],
        ValueError,
        "layers: expected the same batch_first in all, got True at 1",
    ),
    "a pair": (
        [gatewise.BiLSTM(3, 4, merge=None), gatewise.LSTM(8, 4)],
        ValueError,
        "layers: merge=None returns a pair, which the layer above 0 cannot read",
    ),
    "no state": (
        [gatewise.LSTM(3, 4, return_state=False)],
        ValueError,
        "layers: expected layers that return their state, got return_state=False at 0",
    ),
}


@pytest.mark.parametrize("wrong", REFUSED)
def test_invalid_layers_raise(wrong: str):
    layers, exception, message = REFUSED[wrong]
    with pytest.raises(exception, match=f"^{re.escape(message)}$"):
        gatewise.Stack(layers)


def test_invalid_arguments_raise():
    stack, x = made(), torch.randn(T, B, 3, dtype=torch.float64)
    with pytest.raises(ValueError, match="dropout: expected a probability"):
        made(dropout=2)
    with pytest.raises(TypeError, match="return_state: expected True or False"):
        made(return_state=1)
    with pytest.raises(TypeError, match="Stack: unknown argument 'drop'; did you mean dropout"):
        made(drop=0.1)
    state: Any = torch.zeros(1, B, 8)
    for run, name in ((stack, "hx"), (stack.backend_for, "hx")):
        with pytest.raises(TypeError, match=f"^{name}: expected a tuple with the state of each layer, got Tensor"):
            run(x, state)
    with pytest.raises(ValueError, match=r"^state: expected a tuple with the states of 3 layers, got 2"):
        stack.step(x[0], (None, None))
    with pytest.raises(TypeError, match=r"^inputs: expected an iterable"):
        stack.stream(5)  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match=r"^mask: expected an iterable"):
        stack.stream([], mask=5)  # pyright: ignore[reportArgumentType]
    both = gatewise.Stack([gatewise.LSTM(3, 4), gatewise.LSTM(4, 4, reverse=True)])
    for run in (lambda: both.step(torch.zeros(1, 3)), lambda: both.stream([])):
        with pytest.raises(ValueError, match="layer 1 reads from the end and cannot run step by step"):
            run()


def test_gradients_flow_through_given_states():
    stack, x = made(), torch.randn(T, B, 3, dtype=torch.float64)
    hx = tree_map(lambda one: one.requires_grad_() if isinstance(one, Tensor) else one, states_for(stack))
    stack(x, hx)[0].sum().backward()
    assert all(one.grad is not None and one.grad.any() for one in tree_leaves(hx))
