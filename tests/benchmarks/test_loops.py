"""The Python loops that the layers are compared with: right for any cell, and as short as a hand would write them."""

import pytest
import torch
from hypothesis import given, reject, settings

from benchmarks.agreement import Reference
from benchmarks.cases import Case
from benchmarks.contenders import Local, python_loop
from benchmarks.eager_codegen import generate
from benchmarks.loops import loop_for
from gatewise.cells import lookup
from gatewise.compiler import without_bias
from gatewise.equations import Cell, cell, maximum, minimum, sigmoid, tanh, where
from gatewise.kernels import Call, run
from tests.agreement import CELLS
from tests.combinations import examples
from tests.compiler.agreement import furthest, outcome, shaken
from tests.compiler.random_cells import MEAN, cells
from tests.examples.test_cells import CELLS as GALLERY
from tests.kernels.calls import on_reference


@cell
def awkward(x, h, s, k, /, W, V, R, U, a, b):
    """Two products of one operand in a sum, terms used twice, limits by numbers, states that no value reaches."""
    p = W.p @ x
    q = R.p @ h + U.p @ h + R.r @ s + p
    r = minimum(maximum(q, 2), -1) + maximum(minimum(3 * h + b.p, 0.5), -0.5)
    w = where(q > p, R.q @ h, 1) * where(h == h, -s, a)
    v = where(R.t @ h > 0.1, 2, 1) * where(R.u @ h < 0.1, 2, 1)
    return tanh(r + v * w + q * sigmoid(V @ x)), a + 0 * s, k * 0 + 0.25


ALL: dict[str, Cell] = {
    **CELLS,
    **GALLERY,
    "awkward": awkward,
    **{f"{name} without bias": without_bias(lookup(name)) for name in ("lstm", "gru_cudnn")},
}


def assert_right(made: Cell) -> None:
    """The loop's output and gradients are the reference's, in float64."""
    draw = torch.Generator().manual_seed(0)

    def leaf(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=draw, dtype=torch.float64).requires_grad_()

    x, weights = leaf(4, 3, 2), [leaf(*made.parameter_shape(group, 2, 5)) for group in made.groups]
    weights = [
        torch.full_like(weight, 1 / 5, requires_grad=True) if group == MEAN else weight
        for group, weight in zip(made.groups, weights, strict=True)
    ]
    zeros = tuple(torch.zeros(1, 3, 5, dtype=torch.float64) for _ in made.states)
    call = Call(made, x, zeros, tuple(weights), None, None, "forward")
    expected, _ = run(call, backend="reference")
    if furthest(outcome(on_reference, shaken(call)), outcome(on_reference, call)) > 1e-8:
        reject()  # it compares what is equal but for rounding
    actual = loop_for(made)(x, *weights)
    torch.testing.assert_close(actual, expected)
    upstream = torch.randn(expected.shape, generator=draw, dtype=torch.float64)
    for found, right in zip(
        *(
            torch.autograd.grad(value, [x, *weights], upstream, allow_unused=True, materialize_grads=True)
            if value.requires_grad
            else [torch.zeros(())]
            for value in (actual, expected)
        ),
        strict=True,
    ):
        torch.testing.assert_close(found, right)


@pytest.mark.parametrize("name", ALL)
def test_it_is_right(name: str):
    assert_right(ALL[name])


@settings(max_examples=examples(60))
@given(cells())
def test_it_is_right_for_any_cell(made: Cell):
    assert_right(made)


@pytest.mark.parametrize("mode", ["training", "inference"])
def test_it_takes_part(mode):
    for case in (Case("gru_chung2014", mode, 3, 8, 6), Case("ugrnn", mode, 3, 8, 6, text=GALLERY["ugrnn"].text)):
        contender = python_loop(case)
        assert isinstance(contender, Local)
        assert Reference(case).agreement(contender).wrong is None


# As few operations inside the loop as torch has for it; chunks and splits are views.
OPERATIONS = {
    "rnn_tanh": ["addmm", "tanh"],
    "lstm": ["addmm", "sigmoid", "tanh", "*", "addcmul", "tanh", "*"],
    "gru_cudnn": ["addmm", "+", "sigmoid", "addcmul", "tanh", "lerp"],
    "gru_chung2014": ["addmm", "sigmoid", "*", "addmm", "tanh", "lerp"],
    "hard_lstm": ["addmm", "*", "+", "clamp", "clamp", "*", "addcmul", "clamp", "*"],
    "indrnn": ["addcmul", "relu"],
    "lem": ["addmm", "sigmoid", "tanh", "lerp", "addmm", "tanh", "lerp"],
    "ugrnn": ["addmm", "sigmoid", "tanh", "lerp"],
    "scrn": ["*", "+", "addmm", "addmm", "sigmoid"],
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_it_is_as_short_as_by_hand(name: str):
    source = generate(ALL[name])
    lines = [line.partition(" = ")[2] for line in source.splitlines() if line.startswith("        v")]
    called = [line.partition("(")[0].rpartition(".")[2] for line in lines]
    done = [line.split(" ")[1] if "(" not in line else call for line, call in zip(lines, called, strict=True)]
    assert [one for one in done if one not in ("chunk", "split")] == OPERATIONS[name]
