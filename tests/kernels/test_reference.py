"""The reference: each direction by itself against the transcription, and its derivatives against finite differences."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from gatewise import equations
from gatewise.equations import cell
from gatewise.equations.operations import OPERATIONS
from gatewise.kernels import Directions, run
from gatewise.kernels.call import Call
from tests.agreement import ALL_TRANSCRIPTIONS, CELLS
from tests.combinations import ALL
from tests.kernels.calls import DIRECTIONS, call_of, flat
from tests.transcriptions import gates_of, run_row, run_row_reversed

STEMS = {"W": "weight_ih", "R": "weight_hh", "b": "bias_ih", "d": "bias_hh"}


def _function(call: Call):
    """The reference on a call as a function of its tensors."""

    def function(*tensors: Tensor) -> tuple[Tensor, ...]:
        return flat(run(call.with_tensors(tensors), backend="reference"))

    return function


# Each cell in one direction or both, and one in all: differences of many numbers take long.
@pytest.mark.parametrize(
    ("cell", "directions"),
    [
        (cell, directions)
        for number, cell in enumerate(CELLS)
        for index, directions in enumerate(DIRECTIONS)
        if ALL or cell == "lstm" or index == number % len(DIRECTIONS)
    ],
)
def test_gradcheck_with_lengths_and_resets(cell: str, directions: Directions):
    call = call_of(cell, directions, steps=3, lengths=[3, 0, 2], reset=True, seed=2)
    assert call.reset is not None
    assert call.reset[0].any()
    assert call.reset[1:].any()
    assert gradcheck(_function(call), call.tensors)


@pytest.mark.parametrize("cell", ["lstm", "gru_chung2014", "peephole_lstm_full", "minimal_gated_unit"])
def test_gradgradcheck(cell: str):
    call = call_of(cell, "bidirectional", steps=2, batch=2, hidden_size=2, lengths=[2, 1], reset=True, seed=5)
    assert gradgradcheck(_function(call), call.tensors)


@pytest.mark.parametrize("cell", CELLS)
def test_the_reverse_direction_alone(cell: str):
    call = call_of(cell, "reverse", steps=5, batch=1, reset=True, requires_grad=False)
    assert call.reset is not None
    transcription = ALL_TRANSCRIPTIONS[cell]
    parameters = {
        STEMS.get(group, group): tensor for group, tensor in zip(call.cell.groups, call.parameters, strict=True)
    }
    boundaries = call.reset[:, 0].tolist()
    assert any(boundaries)
    outputs, state = run_row_reversed(
        transcription.step,
        gates_of(transcription, parameters, ""),
        list(call.x[:, 0]),
        boundaries,
        tuple(initial[0, 0] for initial in call.initial),
    )
    output, finals = run(call, backend="reference")
    torch.testing.assert_close(output[:, 0], torch.stack(outputs))
    torch.testing.assert_close(tuple(final[0, 0] for final in finals), state)


@pytest.mark.parametrize("cell", CELLS)
def test_both_directions_are_each_direction_side_by_side(cell: str):
    call = call_of(cell, "bidirectional", lengths=[4, 2, 0], reset=True, requires_grad=False)
    output, finals = run(call, backend="reference")
    for index, single in enumerate(call.single_directions()):
        alone, alone_finals = run(single, backend="reference")
        assert torch.equal(output.chunk(2, dim=-1)[index], alone)
        for both, one in zip(finals, alone_finals, strict=True):
            assert torch.equal(both[index : index + 1], one)


def test_a_reset_at_the_first_step_drops_a_given_state_forward_and_the_last_state_in_reverse():
    for directions, function in (("forward", run_row), ("reverse", run_row_reversed)):
        call = call_of("lstm", directions, steps=3, batch=1)
        call = replace(call, reset=torch.tensor([[True], [False], [False]]))
        output, finals = run(call, backend="reference")
        gradients = torch.autograd.grad(output.sum() + sum(f.sum() for f in finals), call.initial)
        if function is run_row:
            assert all((gradient == 0).all() for gradient in gradients)
            assert all((final != 0).all() for final in finals)
        else:
            assert all((gradient != 0).any() for gradient in gradients)
            assert all((final == 0).all() for final in finals)


@pytest.mark.parametrize("directions", ["forward", "reverse"])
def test_no_gradient_crosses_a_boundary(directions: Directions):
    call = call_of("gru_cudnn", directions, steps=6, batch=1)
    flags = torch.zeros(6, 1, dtype=torch.bool)
    flags[3] = True
    call = replace(call, reset=flags)
    output, _ = run(call, backend="reference")
    for part, other in ((slice(0, 3), slice(3, 6)), (slice(3, 6), slice(0, 3))):
        (gradient,) = torch.autograd.grad(output[part].sum(), call.x, retain_graph=True)
        assert (gradient[other] == 0).all()
        assert (gradient[part] != 0).any()


# Each operation of the language, on two values; log, sqrt and the like get positive ones.
WRITTEN: dict[str, tuple[Callable[..., object], Callable[[Tensor, Tensor], Tensor]]] = {
    "add": (lambda a, b: a + b, torch.add),
    "sub": (lambda a, b: a - b, torch.sub),
    "mul": (lambda a, b: a * b, torch.mul),
    "div": (lambda a, b: a / b, torch.div),
    "neg": (lambda a, b: -a, lambda a, b: torch.neg(a)),
    "abs": (lambda a, b: abs(a - b), lambda a, b: torch.abs(a - b)),
    "minimum": (equations.minimum, torch.minimum),
    "maximum": (equations.maximum, torch.maximum),
    "sigmoid": (lambda a, b: equations.sigmoid(a), lambda a, b: torch.sigmoid(a)),
    "tanh": (lambda a, b: equations.tanh(a), lambda a, b: torch.tanh(a)),
    "relu": (lambda a, b: equations.relu(a - b), lambda a, b: torch.relu(a - b)),
    "exp": (lambda a, b: equations.exp(a), lambda a, b: torch.exp(a)),
    "expm1": (lambda a, b: equations.expm1(a), lambda a, b: torch.expm1(a)),
    "log": (lambda a, b: equations.log(a), lambda a, b: torch.log(a)),
    "log1p": (lambda a, b: equations.log1p(a), lambda a, b: torch.log1p(a)),
    "log_sigmoid": (lambda a, b: equations.log_sigmoid(a), lambda a, b: torch.nn.functional.logsigmoid(a)),
    "sqrt": (lambda a, b: equations.sqrt(a), lambda a, b: torch.sqrt(a)),
    "where": (lambda a, b: equations.where(a > b, a, 3 * b), lambda a, b: torch.where(a > b, a, 3 * b)),
    "lt": (lambda a, b: equations.where(a < b, a, 3 * b), lambda a, b: torch.where(a < b, a, 3 * b)),
    "le": (lambda a, b: equations.where(a <= a, a, b), lambda a, b: a),
    "gt": (lambda a, b: equations.where(a > a, a, b), lambda a, b: b),
    "ge": (lambda a, b: equations.where(a >= a, a, b), lambda a, b: a),
    "eq": (lambda a, b: equations.where(a == b, a, 3 * b), lambda a, b: 3 * b),
    "ne": (lambda a, b: equations.where(a != b, a, 3 * b), lambda a, b: a),
}


def test_every_operation_is_tested():
    assert set(WRITTEN) == set(OPERATIONS)


@pytest.mark.parametrize("op", WRITTEN)
def test_each_operation_and_its_derivative_are_torchs(op: str):
    written, meant = WRITTEN[op]

    @cell
    def own(x, h, /, W, R):
        a, b = W.a @ x, R.b @ h
        return written(a * a + 0.1, b * b + 0.1) + a + b

    call = call_of(own, steps=1)
    x, (initial,), (over_x, over_h) = call.x, call.initial, call.parameters
    a, b = x[0] @ over_x.t(), initial[0] @ over_h.t()
    expected = meant(a * a + 0.1, b * b + 0.1) + a + b
    output, _ = run(call, backend="reference")
    torch.testing.assert_close(output[0], expected)
    actual = torch.autograd.grad(output.square().sum(), call.tensors, allow_unused=True, materialize_grads=True)
    wanted = torch.autograd.grad(expected.square().sum(), call.tensors, allow_unused=True, materialize_grads=True)
    torch.testing.assert_close(actual, wanted)
