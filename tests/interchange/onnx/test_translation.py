"""Layers as nodes of ONNX: ONNX Runtime computes with them what the reference computes.

GATEWISE_ONNX_CALLS is how many random calls are tried; by default 500 in `make test-all`, and few in `make test`.
"""

import os
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnxscript import ir

import gatewise
from gatewise.compiler import without_bias
from gatewise.equations import Cell, cell, sigmoid, tanh, where
from gatewise.equations.expression import elementwise
from gatewise.equations.operations import OPERATIONS
from gatewise.interchange.onnx import spelling
from gatewise.interchange.onnx.conventions import BUILT_IN
from gatewise.interchange.onnx.native import native_of
from gatewise.interchange.onnx.translation import refusal
from gatewise.kernels import Call, reference
from tests.agreement import CELLS
from tests.combinations import ALL
from tests.compiler.random_cells import cells
from tests.interchange.onnx.calls import in_onnx_runtime, model_of
from tests.kernels.calls import DIRECTIONS, call_of

COUNT = int(os.environ.get("GATEWISE_ONNX_CALLS", 500 if ALL else 34))
FLOAT, DOUBLE = ir.DataType.FLOAT, ir.DataType.DOUBLE
OPERATORS = ("RNN", "GRU", "LSTM", "Scan")


@torch.no_grad()
def assert_agrees(call: Call) -> None:
    """ONNX Runtime's results are the reference's up to rounding, of which random cells can make much more."""
    output, finals, _ = reference.forward(call, False)
    changed = call.with_tensors(tuple(one * (1 + 4 * torch.finfo(one.dtype).eps) for one in call.tensors))
    moved, states, _ = reference.forward(changed, False)
    for ours, theirs, other in zip((output, *finals), in_onnx_runtime(call), (moved, *states), strict=True):
        assert ours.shape == theirs.shape
        limit = 1e-9 if ours.dtype == torch.float64 else 1e-5
        sensitivity = float((ours - other).abs().nan_to_num().max())
        error = np.abs(ours.detach().numpy() - theirs) / np.maximum(1, np.abs(theirs))
        assert error.max(initial=0) <= max(limit, 100 * sensitivity if limit < 1e-5 else 0)


def operator_of(call: Call) -> str:
    (found,) = {node.op_type for node in model_of(call).graph.node}.intersection(OPERATORS)
    return found


@st.composite
def calls(draw: st.DrawFn) -> Call:
    """Any cell in any direction, ragged or not, with resets or without."""
    steps, batch = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    lengths = None
    if draw(st.booleans()):
        lengths = draw(st.lists(st.integers(0, steps), min_size=batch, max_size=batch))
    made = draw(st.sampled_from(list(CELLS.values())) | cells(reductions=True))
    known = native_of(made) is not None
    return call_of(
        made,
        draw(st.sampled_from(DIRECTIONS)),
        steps=steps,
        batch=batch,
        input_size=draw(st.integers(1, 3)),
        hidden_size=draw(st.integers(1, 4)),
        lengths=lengths,
        reset=draw(st.booleans()),
        # Rounding in float32 may take another branch of a random cell.
        dtype=draw(st.sampled_from([torch.float32, torch.float64])) if known else torch.float64,
        seed=draw(st.integers(0, 2**20)),
    )


@settings(max_examples=COUNT, suppress_health_check=list(HealthCheck))
@given(calls())
def test_random_calls(call: Call) -> None:
    assert_agrees(call)


@pytest.mark.parametrize("name", CELLS)
def test_which_operator(name: str) -> None:
    made = CELLS[name]
    plain = call_of(name, dtype=torch.float32, lengths=[4, 0, 2])
    expected = native_of(made)
    assert operator_of(plain) == ("Scan" if expected is None else expected.operator.name)
    assert operator_of(call_of(name, dtype=torch.float64)) == "Scan"
    assert operator_of(call_of(name, dtype=torch.float32, reset=True)) == "Scan"


@pytest.mark.parametrize("name", [*BUILT_IN, "gru_chung2014"])
@pytest.mark.parametrize("bias", [True, False])
def test_natives_come_back(name: str, bias: bool) -> None:
    """With the same weights, bit for bit; those of chung2014 as cho2014's, the rows of z negated."""
    made = CELLS[name] if bias else without_bias(CELLS[name])
    for directions in DIRECTIONS:
        call = call_of(made, directions, lengths=[4, 0, 2], dtype=torch.float32)
        assert_agrees(call)
        (found,) = gatewise.from_onnx(model_of(call)).values()
        same = dict(found.layer.named_parameters())
        assert len(same) == len(call.parameters)
        count = len(made.groups)
        for index, weight in enumerate(call.parameters):
            group, sign = made.groups[index % count], torch.ones_like(weight)
            if name == "gru_chung2014":
                sign[2:4] = -1  # the rows of z, after those of r
            prefix = {"W": "weight_ih", "R": "weight_hh", "b": "bias_ih", "d": "bias_hh"}.get(group, group)
            suffix = "_l0_reverse" if index >= count else "_l0"
            assert torch.equal(same[prefix + suffix], weight * sign), (group, directions)


def of_one_operation(name: str) -> Cell:
    """A cell whose new state is an operation of the products alone."""
    operation = OPERATIONS[name]

    @cell
    def one(x: Any, h: Any, /, W: Any, R: Any) -> Any:
        operands = [getattr(W, gate) @ x for gate in "abc"[: operation.arity]]
        if operation.comparison:
            return where(elementwise(name, *operands), R @ h, W.c @ x)
        if name == "where":
            return where(operands[0] > 0, *operands[1:]) + R @ h
        return elementwise(name, *operands) + R @ h

    return one


# Around ties and poles, where functions of small numbers lose digits, and where exp overflows.
POINTS = [0.0, 1e-12, 1e-7, 1e-3, 0.3, 0.4999999, 0.5, 0.7, 1.0, 1.5, 3.0, 20.0, 800.0]
POINTS += [-value for value in POINTS[1:]]


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_operation(name: str, dtype: torch.dtype) -> None:
    """To nearly full relative precision: x has one unit, and the matrices are 1, and 0 for the state."""
    made = of_one_operation(name)
    points = torch.tensor(POINTS, dtype=dtype)
    if OPERATIONS[name].arity == 1:
        x, columns = points[:, None], {"a": [1.0]}
    else:  # every pair
        x = torch.cartesian_prod(points, points)
        columns = {"a": [1.0, 0.0], "b": [0.0, 1.0], "c": [0.5, -0.25]}
    W = torch.tensor([columns[str(gate)] for gate in made.gates_of("W")], dtype=dtype)
    zero = torch.zeros(1, len(x), 1, dtype=dtype)
    call = Call(made, x[None], (zero,), (W, torch.zeros(1, 1, dtype=dtype)), None, None, "forward")
    expected, (theirs, _) = reference.forward(call, False)[0].numpy(), in_onnx_runtime(call)
    finite = np.isfinite(expected)
    assert np.array_equal(finite, np.isfinite(theirs))
    assert np.array_equal(expected[~finite], theirs[~finite], equal_nan=True)
    eps = torch.finfo(dtype).eps
    near_zero = eps if name == "sigmoid" else 0  # ONNX Runtime's sigmoid has no small values
    np.testing.assert_allclose(theirs[finite], expected[finite], rtol=32 * eps, atol=near_zero)


def test_sizes_are_open() -> None:
    model = model_of(call_of("peephole_lstm_full", "bidirectional", steps=5, batch=3, lengths=[5, 0, 2], reset=True))
    for steps, batch, lengths in ((1, 1, [0]), (9, 4, [9, 1, 0, 3])):
        other = call_of(
            "peephole_lstm_full", "bidirectional", steps=steps, batch=batch, lengths=lengths, reset=True, seed=5
        )
        same = call_of("peephole_lstm_full", "bidirectional", steps=5, batch=3, lengths=[5, 0, 2], reset=True)
        other = other.with_tensors((other.x, *other.initial, *same.parameters))
        output, finals, _ = reference.forward(other, False)
        for ours, theirs in zip((output, *finals), in_onnx_runtime(other, model), strict=True):
            np.testing.assert_allclose(theirs, ours.detach().numpy(), atol=1e-12)
        assert torch.equal(finals[0][:, lengths.index(0)], other.initial[0][:, lengths.index(0)])


def test_padding_may_be_anything() -> None:
    call = call_of("gru_chung2014", "bidirectional", lengths=[2, 0, 4], reset=True)
    with torch.no_grad():
        call.x[2:, 0] = call.x[:, 1] = float("nan")
    assert all(np.isfinite(one).all() for one in in_onnx_runtime(call))
    assert_agrees(call)


def test_products_of_parameters_and_constants() -> None:
    """They are computed once, outside of the loop; a state may be one alone."""

    @cell
    def made(x: Any, h: Any, s: Any, u: Any, /, W: Any, R: Any, p: Any) -> Any:
        total = W @ x + R.a @ h + R.b @ tanh(p.a * 2) + R.c @ sigmoid(p.b - p.a) + R.d @ sigmoid(0.5) + u + s
        return tanh(total), sigmoid(p.b), 0.5 + 0 * p.a

    assert_agrees(call_of(made))  # nothing else brings the last two states to (B, H)
    call = call_of(made, "reverse", lengths=[3, 0, 4], reset=True)
    assert_agrees(call)
    (scan,) = (node for node in model_of(call).graph.node if node.op_type == "Scan")
    (body,) = (attribute.g for attribute in scan.attribute if attribute.name == "body")
    assert [node.op_type for node in body.node].count("MatMul") == 1  # that of h


def test_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    spelling.spelled.cache_clear()
    monkeypatch.setitem(OPERATIONS, "tanh", replace(OPERATIONS["tanh"], onnx=None))
    assert refusal(CELLS["lstm"], FLOAT, False) is None
    assert refusal(CELLS["rnn_relu"], DOUBLE, True) is None
    expected = "ONNX has no operator for this call of the cell {}, nor for its equations: operation tanh has no ONNX "
    # lagged has expm1, which is written with other operations.
    calls = [("minimal_gated_unit", FLOAT, False), ("lagged", FLOAT, False), ("lstm", FLOAT, True)]
    for name, dtype, has_reset in (*calls, ("lstm", DOUBLE, False)):
        assert str(refusal(CELLS[name], dtype, has_reset)).startswith(expected.format(name))
    spelling.spelled.cache_clear()
