"""Masks of any pattern: a masked step copies the state, whatever the cell, direction, lengths and resets."""

import math
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.utils.rnn import pack_sequence

import gatewise
from gatewise.layers import Recurrent
from tests.agreement import CELLS, WAYS, Way, operators_only, results
from tests.combinations import combinations, examples
from tests.kernels.engine import needs_engine
from tests.layers.oracle import states_of
from tests.layers.stepwise import DIRECTIONS, LENGTHS, MASK, RESET, B, T, check, computed, drawn, leaves_of, upstream_of

OURS = [path for path in WAYS if path.backend != "torch"]


@needs_engine
@combinations({"cell": ["lstm", "gru_chung2014"], "directions": DIRECTIONS, "masked_output": ["zero", "repeat"]})
def test_every_direction(cell: str, directions: str, masked_output: Any):
    torch.manual_seed(0)
    options: dict[str, Any] = {**DIRECTIONS[directions], "masked_output": masked_output}
    layer = Recurrent(CELLS[cell], 3, 4, init="torch", dtype=torch.float64, num_layers=2, **options)
    ways = (Way("cpu"), Way("cpu", 2, through_operators=True), Way("reference", through_operators=True))
    check(layer, ways, MASK, lengths=LENGTHS, reset=RESET)
    check(layer, [Way("auto")], MASK, reset=RESET)


@needs_engine
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("cell", CELLS)
def test_every_cell(cell: str, dtype: torch.dtype):
    torch.manual_seed(1)
    layer = Recurrent(CELLS[cell], 5, 9, init="torch", bidirectional=True, batch_first=True, dtype=dtype)
    check(layer, [Way("cpu")], MASK, lengths=LENGTHS, reset=RESET)
    check(layer, [Way("reference")], MASK, reset=RESET)


@pytest.mark.parametrize("masked_output", ["zero", "repeat"])
def test_kernels_of_torch(masked_output: Any):
    layer = Recurrent("lstm", 3, 4, bidirectional=True, dtype=torch.float64, masked_output=masked_output)
    check(layer, [Way("torch")], MASK[:, :4])


@settings(max_examples=examples(40), deadline=None)
@given(st.data())
def test_any_pattern(data: st.DataObject):
    draw = data.draw
    steps, batch = draw(st.integers(1, 6)), draw(st.integers(0, 4))
    flags = st.lists(st.lists(st.booleans(), min_size=batch, max_size=batch), min_size=steps, max_size=steps)
    mask, reset = (torch.tensor(draw(flags), dtype=torch.bool).reshape(steps, batch) for _ in range(2))
    lengths = torch.tensor(draw(st.lists(st.integers(0, steps), min_size=batch, max_size=batch)), dtype=torch.int64)
    torch.manual_seed(draw(st.integers(0, 100)))
    layer = Recurrent(
        CELLS[draw(st.sampled_from(sorted(CELLS)))],
        2,
        draw(st.sampled_from([1, 3])),
        draw(st.integers(1, 2)),
        init="torch",
        dtype=torch.float64,
        masked_output=draw(st.sampled_from(["zero", "repeat"])),
        **DIRECTIONS[draw(st.sampled_from(sorted(DIRECTIONS)))],
    )
    path = draw(st.sampled_from(OURS))
    check(
        layer,
        [path],
        mask,
        lengths=lengths if draw(st.booleans()) else None,
        reset=reset if draw(st.booleans()) else None,
    )


@pytest.mark.parametrize("path", OURS, ids=str)
@pytest.mark.parametrize("masked_output", ["zero", "repeat"])
def test_masked_inputs_are_not_read(masked_output: Any, path: Way):
    torch.manual_seed(0)
    layer = Recurrent(
        "gru_chung2014", 3, 4, 2, bidirectional=True, merge="learned", dtype=torch.float64, masked_output=masked_output
    )
    layer.backend, layer.checkpoint_every = path.backend, path.checkpoint_every
    x, hx = drawn(layer)
    found = []
    for filling in (0.0, math.nan, math.inf):
        filled = torch.where(MASK[..., None], x, filling).detach().requires_grad_()
        with operators_only() if path.through_operators else nullcontext():
            found.append(computed(layer, filled, hx, mask=MASK, reset=RESET))
    for other in found[1:]:
        assert all(torch.equal(other[name], value) for name, value in found[0].items())
        assert all(value.isfinite().all() for value in other.values())


@needs_engine
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("options", DIRECTIONS.values(), ids=list(DIRECTIONS))
def test_a_mask_of_the_first_steps_is_lengths(options: dict[str, Any], dtype: torch.dtype):
    layer = Recurrent("lstm", 3, 4, 2, dtype=dtype, **options)
    x, hx = drawn(layer)
    prefix = torch.arange(T)[:, None] < LENGTHS
    by_mask, by_lengths = (computed(layer, x, hx, **one) for one in ({"mask": prefix}, {"lengths": LENGTHS}))
    assert all(torch.equal(by_mask[name], value) for name, value in by_lengths.items())


def test_a_mask_of_all_steps_changes_nothing():
    layer = Recurrent("gru_cudnn", 3, 4, dtype=torch.float64)
    x, hx = drawn(layer)
    with_mask = computed(layer, x, hx, mask=torch.ones_like(MASK), reset=RESET)
    without = computed(layer, x, hx, reset=RESET)
    torch.testing.assert_close(with_mask, without, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("masked_output", ["zero", "repeat"])
def test_without_a_batch(masked_output: Any):
    layer = Recurrent("lstm", 3, 4, dtype=torch.float64, masked_output=masked_output)
    x = torch.randn(T, 3, dtype=torch.float64)
    output, (h, c) = layer(x, mask=MASK[:, 0], reset=RESET[:, 0])
    batched, (h_b, c_b) = layer(x[:, None], mask=MASK[:, :1], reset=RESET[:, :1])
    for one, other in ((output, batched[:, 0]), (h, h_b[:, 0]), (c, c_b[:, 0])):
        torch.testing.assert_close(one, other)


@needs_engine
@pytest.mark.parametrize("masked_output", ["zero", "repeat"])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("gradients", [False, True])
@pytest.mark.parametrize("cell", ["lstm", "gru_cudnn"])
def test_steps_and_streams_are_the_sequence(cell: str, gradients: bool, layers: int, masked_output: Any):
    layer = Recurrent(cell, 3, 4, layers, dtype=torch.float64, masked_output=masked_output)
    x, hx = drawn(layer)
    hx = hx if len(hx) > 1 else hx[0]
    with torch.set_grad_enabled(gradients):
        output, final = layer(x, hx, mask=MASK, reset=RESET)
        state, outputs = hx, []
        for x_t, flags, valid in zip(x, RESET, MASK, strict=True):
            y_t, state = layer.step(x_t, state, reset=flags, mask=valid)
            outputs.append(y_t)
        stream = layer.stream(x, hx, reset=RESET, mask=iter(MASK))
        for steps, after in ((outputs, state), (list(stream), stream.state)):
            torch.testing.assert_close(torch.stack(steps), output, rtol=1e-13, atol=1e-14)
            torch.testing.assert_close(states_of(after), states_of(final), rtol=1e-13, atol=1e-14)
        some = layer.stream(x, hx, mask=[None, *MASK[1:]])  # None: all rows are valid
        assert len(list(some)) == T
        y_t, _ = layer.step(x[0, 0], mask=torch.tensor(False))
        assert y_t.shape == (4,)
        assert (y_t == 0).all()


def test_the_backend_that_runs():
    layer = gatewise.LSTM(3, 4)
    x = torch.randn(T, B, 3)
    assert layer.backend_for(x, mask=MASK).name in ("cpu", "torch", "reference")
    layer.backend = "torch"
    with pytest.raises(ValueError, match="PackedSequence has no row of length 0"):
        layer.backend_for(x, mask=MASK)


REFUSED: dict[str, tuple[Any, type[Exception], str]] = {
    "a list": ([[True] * B] * T, TypeError, "mask: expected a bool tensor, got list"),
    "integers": (
        MASK.long(),
        TypeError,
        "mask: expected torch.bool, got torch.int64; pass mask.bool() if nonzero means a",
    ),
    "batch first": (MASK.t(), ValueError, "mask: expected shape (T=7, B=5), got (5, 7); pass one flag per step"),
    "floats": (MASK.float(), TypeError, "mask: expected torch.bool, got torch.float32"),
}


@pytest.mark.parametrize("wrong", REFUSED)
def test_invalid_masks_raise(wrong: str):
    mask, exception, message = REFUSED[wrong]
    layer, x = gatewise.LSTM(3, 4), torch.randn(T, B, 3)
    for run in (layer, layer.backend_for):
        with pytest.raises(exception) as caught:
            run(x, mask=mask)
        assert str(caught.value).startswith(message)


def test_a_packed_sequence_takes_no_mask():
    packed = pack_sequence([torch.randn(3, 3), torch.randn(2, 3)])
    with pytest.raises(ValueError, match="mask: expected None with a PackedSequence; pad the rows"):
        gatewise.LSTM(3, 4)(packed, mask=MASK)


@pytest.mark.parametrize("masked_output", ["zero", "repeat"])
def test_gradcheck(masked_output: Any):
    torch.manual_seed(0)
    layer = Recurrent("gru_chung2014", 2, 3, bidirectional=True, dtype=torch.float64, masked_output=masked_output)
    x, hx = drawn(layer, 3, 2)
    mask, reset = MASK[1:4, 1:3], RESET[1:4, :2]

    def run(x: Tensor, hx: Tensor) -> tuple[Tensor, ...]:
        return layer(x, hx, mask=mask, reset=reset)

    assert torch.autograd.gradcheck(run, (x, *hx), fast_mode=True)
    assert torch.autograd.gradgradcheck(run, (x, *hx), fast_mode=True)


@pytest.mark.parametrize("masked_output", ["zero", "repeat"])
def test_transforms(masked_output: Any):
    torch.manual_seed(0)
    layer = Recurrent("lstm", 3, 4, bidirectional=True, dtype=torch.float64, masked_output=masked_output)
    x, masks = torch.randn(3, T, B, 3, dtype=torch.float64), torch.rand(3, T, B) < 0.6
    by_vmap = torch.func.vmap(lambda x, mask: layer(x, mask=mask)[0], randomness="error")(x, masks)
    one_by_one = torch.stack([layer(*both[:1], mask=both[1])[0] for both in zip(x, masks, strict=True)])
    torch.testing.assert_close(by_vmap, one_by_one)
    gradient = torch.func.grad(lambda x: layer(x, mask=MASK)[0].square().sum())(x[0])
    leaf = x[0].clone().requires_grad_()
    layer(leaf, mask=MASK)[0].square().sum().backward()
    torch.testing.assert_close(gradient, leaf.grad)


@pytest.mark.parametrize("options", [{}, {"bidirectional": True, "masked_output": "repeat"}], ids=str)
def test_compiled_as_one_graph(options: dict[str, Any]):
    torch.manual_seed(0)
    layer = Recurrent("gru_cudnn", 3, 4, 2, dtype=torch.float64, **options)
    x, hx = drawn(layer)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    eager = computed(layer, x, hx, mask=MASK, reset=RESET)
    values = compiled(x, hx[0], mask=MASK, reset=RESET)
    actual = results(values[0], values[1:], upstream_of(values, x.dtype), leaves_of(layer, x, hx))
    torch.testing.assert_close(actual, eager)


def test_cannot_be_confused_by_the_mask_afterwards():
    layer = Recurrent("lstm", 3, 4, dtype=torch.float64)
    x, _ = drawn(layer)
    mask, reset = MASK.clone(), RESET.clone()
    (clean,) = torch.autograd.grad(layer(x, mask=mask, reset=reset)[0].square().sum(), x)
    output, _ = layer(x, mask=mask, reset=reset)
    mask.fill_(True)
    reset.fill_(True)
    (gradient,) = torch.autograd.grad(output.square().sum(), x)
    assert torch.equal(gradient, clean)


@pytest.mark.parametrize("k2", [3, 5])
def test_truncated_windows(k2: int):
    layer = Recurrent("gru_cudnn", 3, 4, dtype=torch.float64)
    x, _ = drawn(layer)
    x = x.detach()
    whole, _ = layer(x, mask=MASK, reset=RESET, lengths=LENGTHS)
    total = 0.0
    for windows in (
        gatewise.TBPTT(3, k2).windows(x, lengths=LENGTHS, reset=RESET, mask=MASK),
        gatewise.TBPTT(3, k2).stream(
            zip(x.split(2), RESET.split(2), MASK.split(2), strict=True), reset=True, mask=True
        ),
    ):
        outputs = []
        for window in windows:
            outputs.append(window.run(layer))
            assert window.mask is not None
            total += window.weight
        if window.lengths is not None:
            torch.testing.assert_close(torch.cat(outputs), whole)
            expected = MASK & (torch.arange(T)[:, None] < LENGTHS)
            assert total * window.full == pytest.approx(int(expected.sum()))
        else:
            torch.testing.assert_close(torch.cat(outputs), layer(x, mask=MASK, reset=RESET)[0])


@pytest.mark.parametrize("masked_output", ["zero", "repeat"])
def test_watched(masked_output: Any):
    """Records are of the valid steps, and losses enter where the states of the output are."""
    layer = Recurrent("gru_cudnn", 3, 4, dtype=torch.float64, masked_output=masked_output)
    x = torch.randn(6, 2, 3, dtype=torch.float64)
    mask = torch.tensor([[False, True], [True, True], [True, False], [True, True], [False, False], [True, False]])
    with gatewise.watch(layer, gates=True) as trace:
        output, _ = layer(x, mask=mask)
        output[5].square().sum().backward()
    alone = Recurrent("gru_cudnn", 3, 4, dtype=torch.float64)
    alone.load_state_dict(layer.state_dict())
    moved = torch.zeros(4, 2, 3, dtype=torch.float64)
    moved[:, 0], moved[:3, 1] = x[[1, 2, 3, 5], 0], x[[0, 1, 3], 1]
    with gatewise.watch(alone, gates=True) as expected:
        output, _ = alone(moved, lengths=[4, 3])
        # The second row is masked at the last step, whose output then is the state after its third valid step.
        last = output[3, :1] if masked_output == "zero" else torch.stack([output[3, 0], output[2, 1]])
        last.square().sum().backward()
    torch.testing.assert_close(trace.gradient_flow()["h"][:4], expected.gradient_flow()["h"])
    trace.diagnose()
    (call,) = trace.passes[-1].calls
    entered = call.loss_steps.outputs[0] > 0
    assert entered.nonzero().tolist() == ([[3, 0]] if masked_output == "zero" else [[2, 1], [3, 0]])
