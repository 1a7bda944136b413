"""Matrices divided into heads: block-diagonal ones written out, and every way of running a layer."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import functional_call

import gatewise
from gatewise.equations import Cell, cell, sigmoid, tanh
from gatewise.equations.tracing import DefinitionError
from gatewise.kernels.cpu import execution
from tests.kernels.cpu.workspaces import full_of_nan
from tests.kernels.engine import needs_engine
from tests.layers.oracle import call, check_call, check_contributions, check_gradients_by_row

T, B, I = 6, 3, 5  # noqa: E741
LENGTHS = torch.tensor([4, 1, 6])
RESET = torch.rand(T, B, generator=torch.Generator().manual_seed(1)) < 0.3


def _equations(x, h, c, /, W, R, U, Q, p, b):
    """Of states and of what a step makes, of parameters alone, beside a whole matrix."""
    i = sigmoid(W.i @ x + R.i @ h + U.i @ c + b.i)
    n = tanh(W.n @ x + R.n @ (i * h) + R.m @ tanh(p) + b.n)
    c = i * n + Q @ (c * n)
    return tanh(U.o @ c + Q @ c), c


DIVIDED, WHOLE = cell(heads=("R", "Q"))(_equations), cell(_equations)
# Beside registers of 4, 8 and 16: heads of several strips, of a part of one, of one unit, odd ones.
SIZES = [(12, 3), (9, 9), (10, 5), (34, 2), (50, 2), (64, 4), (72, 3), (128, 8)]


def made(given: str | Cell = "slstm", hidden: int = 12, heads: int = 3, **options: Any) -> gatewise.Recurrent:
    torch.manual_seed(0)
    return gatewise.Recurrent(given, I, hidden, heads=heads, init="torch", **{"dtype": torch.float64, **options})


def whole_of(layer: gatewise.Recurrent, **options: Any) -> gatewise.Recurrent:
    """A layer whose matrices are those of another written out, zeros included."""
    found = made(WHOLE, layer.hidden_size, 1, num_layers=layer.num_layers, bidirectional=layer.bidirectional, **options)
    with torch.no_grad():
        for name, parameter in found.named_parameters():
            parameter.copy_(written_out(getattr(layer, name), parameter.shape[1:]))
    return found


def written_out(stacked: Tensor, columns: torch.Size) -> Tensor:
    """(G·H, H) of (G·H, H/n); other parameters are returned as they are."""
    if not columns or stacked.shape[1:] == columns:
        return stacked
    return torch.cat([torch.block_diag(*one.split(one.shape[1])) for one in stacked.split(columns[0])])


def within_heads(name: str, whole: Tensor, layer: gatewise.Recurrent) -> Tensor:
    """The rows (G·H, H/n) of a gradient (G·H, H)."""
    shape = getattr(layer, name).shape if hasattr(layer, name) else whole.shape
    if shape == whole.shape:
        return whole
    width = shape[1]
    firsts = [unit % layer.hidden_size // width * width for unit in range(len(whole))]
    return torch.stack([row[first : first + width] for first, row in zip(firsts, whole, strict=True)])


@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize(("hidden", "heads"), SIZES)
def test_heads_are_blocks_of_a_diagonal(hidden: int, heads: int, ragged: bool):
    options: dict[str, Any] = {"lengths": LENGTHS, "reset": RESET} if ragged else {}
    x = torch.randn(T, B, I, dtype=torch.float64)
    one = made(DIVIDED, hidden, heads, bidirectional=True)
    hx = [torch.randn(2, B, hidden, dtype=torch.float64) for _ in range(2)]
    expected = call(whole_of(one, backend="reference"), x, hx, **options)
    for backend in ("auto", "reference"):
        one.backend = backend
        with full_of_nan():
            found = call(one, x, hx, **options)
        for name, value in found.items():
            wanted = within_heads(name.removeprefix("gradient of "), expected[name], one)
            torch.testing.assert_close(value, wanted, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("batch", [1, 2, 9])
@pytest.mark.parametrize(("hidden", "heads"), [(40, 5), (64, 4), (33, 3)])
def test_single_precision_of_few_and_many_rows(hidden: int, heads: int, batch: int):
    check_call(made("slstm", hidden, heads, dtype=torch.float32, bidirectional=True), torch.randn(T, batch, I))
    with torch.no_grad():
        for steps in (1, 2, T):  # weights in place, and packed
            check_call(made("slstm", hidden, heads, dtype=torch.float32), torch.randn(steps, batch, I))


@needs_engine
@pytest.mark.parametrize(("hidden", "heads"), [(36, 3), (64, 2)])
def test_units_and_rows_split_among_threads(hidden: int, heads: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(execution, "SHARE_SMALL", 1)
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        for batch in (1, 13):
            check_call(made("slstm", hidden, heads), torch.randn(T, batch, I, dtype=torch.float64))
    finally:
        torch.set_num_threads(threads)


@needs_engine
@pytest.mark.parametrize(("hidden", "heads"), SIZES)
def test_bytes_are_those_of_the_whole_matrix(hidden: int, heads: int):
    """Zeros change neither the scale of a row of weights nor a sum, so all bits are the same."""
    one = made(DIVIDED, hidden, heads, dtype=torch.float32)
    for steps, batch in ((1, 1), (T, B), (T, 9)):
        x = torch.randn(steps, batch, I)
        results = []
        for layer in (one, whole_of(one, dtype=torch.float32)):
            with torch.no_grad(), layer.frozen(precision="int8"):
                results.append(call(layer, x))
        for name, value in results[0].items():
            torch.testing.assert_close(value, results[1][name], rtol=1e-6, atol=1e-6)


@needs_engine
@pytest.mark.parametrize("batch", [1, 3, 9])
@pytest.mark.parametrize(("hidden", "heads"), [(10, 5), (34, 2), (64, 4)])
def test_products_of_bfloat16_in_both_passes(hidden: int, heads: int, batch: int):
    """The same factors as of the whole matrix, and so the same numbers but for the order of sums."""
    one = made(DIVIDED, hidden, heads, dtype=torch.float32, bidirectional=True)
    whole, x = whole_of(one, dtype=torch.float32), torch.randn(T, batch, I)
    with whole.frozen(precision="bf16"):
        expected = call(whole, x)
    for backend in ("auto", "reference"):
        one.backend = backend
        with one.frozen(precision="bf16"):
            found = call(one, x)
        for name, value in found.items():
            wanted = within_heads(name.removeprefix("gradient of "), expected[name], one)
            torch.testing.assert_close(value, wanted, rtol=1e-3, atol=1e-3)
        assert (one(x)[0] - found["output"]).abs().max() > 1e-5


def test_step_stream_and_frozen_weights_are_the_sequence():
    one = made(num_layers=2)
    x, reset = torch.randn(T, B, I, dtype=torch.float64), RESET
    for gradients in (False, True):
        with torch.set_grad_enabled(gradients):
            expected, final = one(x, reset=reset)
            state, outputs = None, []
            for x_t, reset_t in zip(x, reset, strict=True):
                y_t, state = one.step(x_t, state, reset=reset_t)
                outputs.append(y_t)
            streamed = one.stream(x, reset=reset)
            torch.testing.assert_close(torch.stack([*streamed]), expected)
        torch.testing.assert_close(torch.stack(outputs), expected)
        torch.testing.assert_close(state, final)
    with one.frozen():
        torch.testing.assert_close(one(x, reset=reset)[0], expected)


def test_checkpoints_and_masks_change_nothing():
    one, x = made(num_layers=2, bidirectional=True), torch.randn(T, B, I, dtype=torch.float64)
    whole = call(one, x, lengths=LENGTHS)
    one.checkpoint_every = 2
    torch.testing.assert_close(call(one, x, lengths=LENGTHS), whole, rtol=1e-11, atol=1e-12)
    masked = made(num_layers=2, variational=0.3, zoneout=(0.2, 0.1), weight_drop=0.2)
    found = []
    for backend in ("auto", "reference"):
        masked.backend = backend
        torch.manual_seed(3)
        found.append(call(masked, x))
    torch.testing.assert_close(*found, rtol=1e-11, atol=1e-12)


def test_watched_contributions_add_up_to_the_gradients():
    one, x = made(DIVIDED, bidirectional=True), torch.randn(T, B, I, dtype=torch.float64)
    with gatewise.watch(one, gates=True) as trace:
        output, (h, _) = one(x, lengths=LENGTHS)
        (output.square().sum() + h.sum()).backward()
    assert trace.gates()["l0.i"].shape[-1] == 12
    check_contributions(trace, one)


def test_second_derivatives_and_transforms():
    one, x = made(), torch.randn(T, B, I, dtype=torch.float64)
    small = x[:3].clone().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x, R: functional_call(one, {"weight_hh_l0": R}, (x,))[0], (small, one.weight_hh_l0)
    )
    assert torch.autograd.gradgradcheck(lambda x: one(x)[0], small, atol=1e-6)

    check_gradients_by_row(one, x)


def test_compiled_is_eager():
    torch._dynamo.reset()
    one, x = made(num_layers=2), torch.randn(T, B, I, dtype=torch.float64)
    compiled = torch.compile(one, fullgraph=True, backend="aot_eager")
    gradients = []
    for layer in (one, compiled):
        output, _ = layer(x, lengths=LENGTHS)
        gradients.append([output, *torch.autograd.grad(output.square().sum(), one.parameters())])
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("init", ["default", "orthogonal", "xavier", "he", "identity"])
def test_initial_weights_are_those_of_each_head(init: Any):
    torch.manual_seed(0)
    one = gatewise.Recurrent("slstm", I, 12, heads=3, init=init)
    assert one.weight_hh_l0.shape == (4 * 12, 4)
    blocks = one.weight_hh_l0.detach().split(4)
    assert len(blocks) == 12
    for block in blocks:
        if init in ("default", "orthogonal"):
            torch.testing.assert_close(block @ block.T, torch.eye(4), atol=1e-5, rtol=0)
        elif init == "identity":
            assert torch.equal(block, torch.eye(4))
        else:  # uniform within a bound that is that of four inputs
            bound = (6 / 8) ** 0.5 if init == "xavier" else (6 / 4) ** 0.5
            assert 0.6 * bound < block.abs().max() <= bound


def test_the_work_of_a_product_is_shared_by_the_heads():
    made_plan = gatewise.compiler.plan(DIVIDED)
    assert made_plan.multiply_adds(I, 12) - made_plan.multiply_adds(I, 12, heads=3) == 4 * 12 * (12 - 4)


def test_heads_are_written_in_equations_and_identities():
    assert "groups W R:heads U Q:heads p b" in DIVIDED.text
    assert Cell.from_text(DIVIDED.text) == DIVIDED != WHOLE
    one = made(DIVIDED)
    other = made(WHOLE, heads=1)
    with pytest.raises(RuntimeError, match="another function"):
        other.load_state_dict(one.state_dict())
    assert "heads=3" in repr(one)


def test_arguments_that_do_not_fit():
    with pytest.raises(ValueError, match=r"heads: expected a divisor of hidden_size=12, .*, got 5"):
        made(heads=5)
    with pytest.raises(ValueError, match="got 0"):
        made(heads=0)
    with pytest.raises(TypeError, match="heads: expected an int, got float"):
        made(heads=2.0)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"heads: expected 1, got 2; no matrix of the cell gru_cudnn .* as R of slstm"):
        made("gru_cudnn", heads=2)
    one = made()
    one.weight_hh_l0 = torch.nn.Parameter(torch.zeros(48, 12, dtype=torch.float64))
    with pytest.raises(ValueError, match=r"weight_hh_l0: expected a weight of shape \(48, 4\), got \(48, 12\)"):
        one(torch.zeros(T, B, I, dtype=torch.float64))


def test_definitions_that_cannot_be_divided():
    def of(heads: Any, **widths: str) -> None:
        cell(heads=heads, widths=widths)(lambda x, h, c, /, W, R, V, b: (V @ c, tanh(W @ x + R @ h + b) + c))

    with pytest.raises(DefinitionError, match=r"has no parameter group 'Q'; its groups are W, R, V, b"):
        of(("Q",))
    with pytest.raises(DefinitionError, match="b is a group of vectors"):
        of("b")
    with pytest.raises(DefinitionError, match=r"those of W are \(H, I\)"):
        of(("W",))
    with pytest.raises(DefinitionError, match=r"those of V are \(P, H\)"):
        of(("V",), h="P")
    with pytest.raises(DefinitionError, match="expected names of parameter groups"):
        of((1,))
    with pytest.raises(ValueError, match="expected R:heads, got R:tails"):
        Cell.from_text(DIVIDED.text.replace("R:heads", "R:tails"))
