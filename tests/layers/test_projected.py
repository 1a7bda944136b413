"""Projected LSTMs: torch's numbers, and every way of running a layer, against the reference in float64."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

import gatewise
from gatewise.equations import cell, dropout, layer_norm, sigmoid, tanh
from gatewise.equations.tracing import DefinitionError
from gatewise.kernels.cpu import execution
from tests.kernels.cpu.workspaces import full_of_nan
from tests.kernels.engine import needs_engine
from tests.layers.oracle import call, check_call, check_contributions, check_gradients_by_row, check_steps

T, B, I, H, P = 7, 3, 5, 9, 4  # noqa: E741
LENGTHS = torch.tensor([4, 1, 7])
LAYERS = [gatewise.LSTM, gatewise.PeepholeLSTM]


def made(layer: Any = gatewise.PeepholeLSTM, **options: Any) -> gatewise.Recurrent:
    torch.manual_seed(0)
    return layer(I, H, proj_size=P, init="torch", **{"dtype": torch.float64, **options})


def states(rows: int = 1) -> list[Tensor]:
    return [torch.randn(rows, B, P, dtype=torch.float64), torch.randn(rows, B, H, dtype=torch.float64)]


@pytest.mark.parametrize("backend", ["auto", "torch", "reference"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("ragged", [False, True])
def test_torchs_numbers_and_every_gradient(ragged: bool, bias: bool, backend: Any):
    """Two layers in both directions: names, initial weights, shapes, results."""
    options: dict[str, Any] = {"num_layers": 2, "bidirectional": True, "bias": bias, "proj_size": P}
    torch.manual_seed(0)
    theirs = nn.LSTM(I, H, **options, dtype=torch.float64)
    torch.manual_seed(0)
    ours = gatewise.LSTM(I, H, **options, dtype=torch.float64, backend=backend)
    assert ours.mode == theirs.mode
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert all(torch.equal(*both) for both in zip(ours.parameters(), theirs.parameters(), strict=True))
    x, hx = torch.randn(T, B, I, dtype=torch.float64), states(4)
    found: list[list[Tensor]] = []
    for layer in (ours, theirs):
        leaves = [x.clone().requires_grad_(), *(one.clone().requires_grad_() for one in hx)]
        given = pack_padded_sequence(leaves[0], LENGTHS, enforce_sorted=False) if ragged else leaves[0]
        output, finals = layer(given, tuple(leaves[1:]))
        values = [output.data if ragged else output, *finals]
        assert [one.shape[-1] for one in values] == [2 * P, P, H]
        loss = sum((value * torch.linspace(-1, 1, value.numel()).reshape(value.shape)).sum() for value in values)
        found.append([*values, *torch.autograd.grad(loss, [*leaves, *layer.parameters()])])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("layer", LAYERS)
def test_step_and_stream_are_the_sequence(layer: Any):
    one = made(layer, num_layers=2)
    x, hx, reset = torch.randn(T, B, I, dtype=torch.float64), tuple(states(2)), torch.rand(T, B) < 0.3
    for gradients in (False, True):
        with torch.set_grad_enabled(gradients):
            state, outputs = hx, []
            for x_t, reset_t in zip(x, reset, strict=True):
                y_t, state = one.step(x_t, state, reset=reset_t)
                outputs.append(y_t)
            streamed = one.stream(x, hx, reset=reset)
            of_stream = [*streamed]
        check_steps(one, outputs, state, x, hx, reset=reset)
        check_steps(one, of_stream, streamed.state, x, hx, reset=reset)


def test_masked_steps_repeat_the_output():
    one = made(masked_output="repeat", bidirectional=True)
    mask = torch.rand(T, B) < 0.6
    check_call(one, torch.randn(T, B, I, dtype=torch.float64), states(2), mask=mask)


@pytest.mark.parametrize("options", [{"merge": "learned"}, {"merge": "sum"}, {"merge": None}], ids=str)
def test_merges_have_the_width_of_the_projection(options: dict[str, Any]):
    one = made(num_layers=2, bidirectional=True, **options)
    output, _ = one(torch.randn(T, B, I, dtype=torch.float64))
    widths = [part.shape[-1] for part in output] if isinstance(output, tuple) else [output.shape[-1]]
    assert sum(widths) == one.output_size == (2 * P if options["merge"] is None else P)


def test_checkpoints_frozen_weights_and_regularisation_change_nothing():
    one, hx = made(num_layers=2), states(2)
    x = torch.randn(T, B, I, dtype=torch.float64)
    whole = call(one, x, hx, lengths=LENGTHS)
    one.checkpoint_every = 2
    torch.testing.assert_close(call(one, x, hx, lengths=LENGTHS), whole, rtol=1e-11, atol=1e-12)
    one.checkpoint_every = None
    with one.frozen():
        torch.testing.assert_close(call(one, x, hx, lengths=LENGTHS), whole)
    masked = made(num_layers=2, variational=0.3, recurrent_dropout=0.2, zoneout=(0.2, 0.1), weight_drop=0.2)
    torch.manual_seed(3)
    first = call(masked, x, hx)
    masked.backend = "reference"
    torch.manual_seed(3)
    torch.testing.assert_close(call(masked, x, hx), first, rtol=1e-11, atol=1e-12)


def test_masks_have_the_width_of_what_they_multiply():
    @cell(widths={"h": "P"})
    def masked(x, h, c, /, W, R, V):
        c = dropout(tanh(W @ x + R @ dropout(h, "narrow")), "wide") + 0.5 * c
        return V @ c, c

    one = gatewise.Recurrent(masked, I, H, proj_size=P, rates={"narrow": 0.5, "wide": 0.5}, dtype=torch.float64)
    x = torch.randn(T, B, I, dtype=torch.float64)
    results = []
    for backend in ("auto", "reference"):
        one.backend = backend
        torch.manual_seed(5)
        results.append(call(one, x))
    torch.testing.assert_close(*results)


def test_watched_states_and_gradients_have_their_widths():
    one, x = made(bidirectional=True), torch.randn(T, B, I, dtype=torch.float64)
    with gatewise.watch(one, gates=True) as trace:
        output, (h, _) = one(x, lengths=LENGTHS)
        (output.square().sum() + h.sum()).backward()
    widths = {name: value.shape[-1] for name, value in trace.states().items()}
    assert widths == {"l0.h": P, "l0.c": H, "l0_reverse.h": P, "l0_reverse.c": H}
    valid = torch.arange(T)[:, None] < LENGTHS
    torch.testing.assert_close(trace.states()["l0.h"][valid], output[..., :P][valid])
    check_contributions(trace, one)


def test_second_derivatives_windows_and_transforms():
    one, x = made(), torch.randn(T, B, I, dtype=torch.float64)
    assert torch.autograd.gradgradcheck(lambda x: one(x)[0], x[:3].clone().requires_grad_(), atol=1e-6)

    check_gradients_by_row(one, x)


def test_truncated_windows_add_up_to_the_whole():
    """Each of which begins at the first step here, so that its loss has its full gradient."""
    one, x = made(), torch.randn(T, B, I, dtype=torch.float64)
    one(x)[0].square().sum().backward()
    whole = [parameter.grad for parameter in one.parameters()]
    one.zero_grad()
    for window in gatewise.TBPTT(3, T + 3).windows(x, x):
        output = window.run(one)
        output.square().sum().backward()
    for parameter, expected in zip(one.parameters(), whole, strict=True):
        torch.testing.assert_close(parameter.grad, expected, rtol=1e-11, atol=1e-12)


def test_compiled_is_eager():
    torch._dynamo.reset()
    one, x = made(num_layers=2), torch.randn(T, B, I, dtype=torch.float64)
    compiled = torch.compile(one, fullgraph=True, backend="aot_eager")
    gradients = []
    for layer in (one, compiled):
        output, _ = layer(x, lengths=LENGTHS)
        gradients.append([output, *torch.autograd.grad(output.square().sum(), one.parameters())])
    torch.testing.assert_close(*gradients)


def test_what_the_fused_kernels_do_not_take_runs_elsewhere_and_says_why():
    @cell(widths={"h": "P"})
    def shifted(x, h, c, /, W, R, V, p):
        c = tanh(W @ x + R @ h) + 0.5 * c
        return V @ c + tanh(p), c

    one = gatewise.Recurrent(shifted, I, H, proj_size=P, dtype=torch.float64)
    x = torch.randn(T, B, I, dtype=torch.float64)
    choice = one.backend_for(x)
    assert choice.name == "reference"
    assert "it has expressions of parameters of the width of a projection" in choice.reason
    assert one(x)[0].shape == (T, B, P)


@needs_engine
@pytest.mark.parametrize(("hidden", "projection"), [(9, 4), (37, 19), (40, 33)])
def test_products_with_x_of_the_width_of_a_projection(hidden: int, projection: int):
    """Between wide ones, with and without vectors, read at once and in later stages, and as an operand."""

    @cell(widths={"h": "P"})
    def skipping(x, h, c, /, W, U, R, V, S, b, e):
        i = sigmoid(W.i @ x + R.i @ (h * (U.r @ x)) + b.i)
        c = tanh(W.n @ x + R.n @ h) + i * c
        new = V @ c + U.k @ x + e.k
        return tanh(new) * sigmoid(U.j @ x) + S @ (new * (U.k @ x)), c

    def layer(**options: Any) -> gatewise.Recurrent:
        torch.manual_seed(0)
        return gatewise.Recurrent(skipping, I, hidden, proj_size=projection, init="torch", **options)

    one = layer(num_layers=2, bidirectional=True, dtype=torch.float64)
    assert one.backend_for(torch.zeros(T, B, I, dtype=torch.float64)).name == "cpu"
    for batch in (1, B, 9):
        x, reset = torch.randn(T, batch, I, dtype=torch.float64), torch.rand(T, batch) < 0.3
        with full_of_nan():
            check_call(one, x, lengths=torch.randint(T + 1, (batch,)), reset=reset)
            with torch.no_grad():
                for steps in (1, T):
                    check_call(one, x[:steps])
    single, x = layer(dtype=torch.float32), torch.randn(T, 9, I)
    with torch.no_grad(), full_of_nan():
        exact = single(x)[0]
        for precision in (None, "bf16", "int8"):
            with single.frozen(precision=precision):
                for given in (x, x[:, :1]):
                    found = single(given)[0]
                    torch.testing.assert_close(
                        found, exact[:, : given.shape[1]], rtol=0, atol=0.05 if precision else 1e-6
                    )


@needs_engine
def test_the_engine_shows_states_and_norms_with_units_split_among_threads(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(execution, "SHARE_SMALL", 1)
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        flows: list[list[Tensor]] = []
        for backend in ("cpu", "reference"):
            torch.manual_seed(0)
            one = gatewise.LSTM(I, 37, proj_size=19, bidirectional=True, backend=backend, dtype=torch.float32)
            x = torch.randn(T, B, I)
            with gatewise.watch(one) as trace:
                one(x, lengths=LENGTHS)[0].square().sum().backward()
            flows.append([*trace.gradient_flow().values()])
        assert len(flows[0]) == 4
        for actual, expected in zip(*flows, strict=True):
            torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-6)
    finally:
        torch.set_num_threads(threads)


@needs_engine
@pytest.mark.parametrize("layer", LAYERS)
def test_units_split_among_threads(layer: Any, monkeypatch: pytest.MonkeyPatch):
    """Of both widths, whose strips of units are 5 and 3 with the widest registers."""
    monkeypatch.setattr(execution, "SHARE_SMALL", 1)
    torch.manual_seed(0)
    one = layer(I, 37, proj_size=17, bidirectional=True, init="torch", dtype=torch.float64)
    hx = [torch.randn(2, B, width, dtype=torch.float64) for width in (17, 37)]
    for team in ((6, 1), (6, 2)):  # six slices, on one thread or two
        monkeypatch.setattr(execution, "team", lambda team=team: team)
        check_call(one, torch.randn(T, B, I, dtype=torch.float64), hx, lengths=LENGTHS, reset=torch.rand(T, B) < 0.3)


def test_arguments_that_do_not_fit():
    with pytest.raises(
        ValueError, match=r"proj_size: expected the width P of the state h .* less than hidden_size=9, got 9"
    ):
        gatewise.LSTM(I, H, proj_size=H)
    with pytest.raises(ValueError, match=r"proj_size: .* at least 1 .*, got 0"):
        gatewise.Recurrent("lstm_projected", I, H)
    with pytest.raises(ValueError, match=r"proj_size: expected 0, got 4; no state of the cell gru_cudnn"):
        gatewise.Recurrent("gru_cudnn", I, H, proj_size=P)
    with pytest.raises(ValueError, match="layer_norm=True"):
        gatewise.LSTM(I, H, proj_size=P, layer_norm=True)
    with pytest.raises(ValueError, match="peephole='full'"):
        gatewise.PeepholeLSTM(I, H, proj_size=P, peephole="full")
    with pytest.raises(TypeError, match="proj_size: expected an int"):
        gatewise.LSTM(I, H, proj_size=2.5)  # pyright: ignore[reportArgumentType]
    one = made()
    with pytest.raises(ValueError, match=r"hx \(h\): expected .*4.*got"):
        one(torch.randn(T, B, I, dtype=torch.float64), tuple(reversed(states())))


def test_definitions_whose_widths_do_not_fit():
    def of(function: Any, **widths: str) -> None:
        cell(widths=widths)(function)

    with pytest.raises(DefinitionError, match=r"the state c, of width H, and the state h, of width P|the state h, of"):
        of(lambda x, h, c, /, W, R: (tanh(W @ x + R @ h) + c, h * c), h="P")
    with pytest.raises(DefinitionError, match="has no state 'r'; its states are h"):
        of(lambda x, h, /, W, R: tanh(W @ x + R @ h), r="P")
    with pytest.raises(DefinitionError, match="expected 'H' or 'P'"):
        of(lambda x, h, /, W, R: tanh(W @ x + R @ h), h="Q")
    with pytest.raises(DefinitionError, match="no parameter has it"):
        of(lambda x, c, h, /, W, R: (tanh(W @ x + R @ c), h), h="P")
    with pytest.raises(DefinitionError, match="a sum or norm over units, of width H"):
        of(lambda x, h, c, /, W, R, V: (layer_norm(V @ c), tanh(W @ x + R @ h)), h="P")
