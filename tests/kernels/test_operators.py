"""The operator pair keeps the promises that compilers, exporters and transforms build on."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from gatewise.kernels import Call, cpu, operators, reference, run
from gatewise.kernels.call import cell_of_text
from tests.agreement import CELLS, operators_only
from tests.combinations import ALL, combinations
from tests.kernels.calls import call_of, flat, upstream_of
from tests.kernels.cpu.workspaces import full_of_nan
from tests.kernels.engine import needs_engine

OPCHECKED = [
    ("lstm", {}),
    ("lstm", {"lengths": [4, 0, 2], "reset": True}),
    ("lstm", {"directions": "bidirectional", "lengths": [4, 1, 2]}),
    ("gru_cudnn", {"directions": "bidirectional"}),
    ("rnn_relu", {"directions": "reverse", "lengths": [4, 1, 2]}),
    ("peephole_lstm", {"directions": "bidirectional", "lengths": [4, 0, 2], "reset": True}),
    ("gru_cho2014", {"directions": "reverse", "reset": True}),
    ("lagged", {"lengths": [4, 0, 2], "reset": True}),
    ("masked", {"directions": "bidirectional", "lengths": [4, 0, 2], "reset": True}),
    ("lstm", {"directions": "bidirectional", "lengths": [4, 0, 2], "reset": True, "sequences": True}),
    ("lstm", {"directions": "bidirectional", "dtype": torch.bfloat16}),
]


# A backend, and every how many steps states are kept.
ON = [("auto", 2), ("cpu", None), ("reference", None)]
# The first call on all of them, and of the others each on one: what torch checks takes long.
ON_EACH = [
    pytest.param(cell, options, backend, every, marks=[needs_engine] if backend == "cpu" else [])
    for number, (cell, options) in enumerate(OPCHECKED)
    for index, (backend, every) in enumerate(ON)
    if ALL or number == 0 or index == number % len(ON)
]


def arguments(call: Call, every: int | None = None, backend: str = "auto") -> tuple[Any, ...]:
    """What the operators are called with, but for what each has of its own."""
    return (
        call.x,
        list(call.initial),
        list(call.parameters),
        call.lengths,
        call.reset,
        None if call.masks is None else call.masks.seed,
        call.cell.text,
        call.directions,
        "" if call.masks is None else call.masks.text,
        call.sequences,
        call.products,
        backend,
        every,
    )


@pytest.mark.parametrize(("cell", "options", "backend", "every"), ON_EACH, ids=str)
def test_opcheck_forward(cell: str, options: dict[str, Any], backend: str, every: int | None):
    given = arguments(call_of(cell, **options), every, backend)
    torch.library.opcheck(torch.ops.gatewise.recurrent.default, (*given, operators.MADE_BY))
    given = arguments(call_of(cell, **options, requires_grad=False), every, backend)
    keep = keeps(given, every, backend)
    torch.library.opcheck(torch.ops.gatewise.recurrent_in_training.default, (*given, keep))


def keeps(given: tuple[Any, ...], every: int | None, backend: str) -> bool:
    """Whether the forward operator is asked for what it saves; of bfloat16 it has nothing of that type."""
    return every is None and backend != "reference" and given[0].dtype is not torch.bfloat16


def backward_arguments(call: Call, every: int | None = None, backend: str = "auto") -> tuple[Any, ...]:
    """What the backward operator is called with; the gradient of one tensor is not asked for."""
    given = arguments(call, every, backend)
    keep = keeps(given, every, backend)
    with torch.no_grad():
        output, finals, kept = torch.ops.gatewise.recurrent_in_training(*given, keep)
    output_gradient, *final_gradients = upstream_of([output, *finals])
    needed = [index != 1 for index in range(len(call.tensors))]
    return output_gradient, final_gradients, *given, needed, [output, *kept] if keep else []


@pytest.mark.parametrize(("cell", "options", "backend", "every"), ON_EACH, ids=str)
def test_opcheck_backward(cell: str, options: dict[str, Any], backend: str, every: int | None):
    call = call_of(cell, **options, requires_grad=False)
    given = backward_arguments(call, every, backend)
    torch.library.opcheck(torch.ops.gatewise.recurrent_backward.default, given)


@pytest.mark.parametrize(
    ("cell", "options"),
    [
        ("rnn_tanh", {"directions": "bidirectional", "lengths": [2, 1]}),
        ("lstm", {"lengths": [2, 0], "reset": True}),
        ("gru_chung2014", {}),
    ],
    ids=str,
)
def test_opcheck_backward_with_its_own_derivative(cell: str, options: dict[str, Any]):
    """A small call: the second derivative is traced step by step."""
    call = call_of(cell, steps=2, batch=2, **options)
    given = backward_arguments(call)
    for gradient in (given[0], *given[1]):
        gradient.requires_grad_()
    torch.library.opcheck(torch.ops.gatewise.recurrent_backward.default, given)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("cell", CELLS)
def test_the_fake_operators_know_shape_dtype_and_layout(cell: str, dtype: torch.dtype):
    from torch._subclasses.fake_tensor import FakeTensorMode

    call = call_of(cell, "bidirectional", lengths=[4, 0, 2], dtype=dtype)
    real = flat(operators.recurrent(*arguments(call)))
    gradients = torch.autograd.grad(real, call.tensors, upstream_of(real), allow_unused=True)
    with FakeTensorMode() as mode:
        fake = flat(
            operators.recurrent(
                *torch.utils._pytree.tree_map_only(torch.Tensor, mode.from_tensor, arguments(call)),
            )
        )
    for a, b in zip(real, fake, strict=True):
        assert (a.shape, a.dtype, a.device, a.stride()) == (b.shape, b.dtype, b.device, b.stride())
    for gradient, tensor in zip(gradients, call.tensors, strict=True):
        assert gradient is not None
        assert (gradient.shape, gradient.dtype) == (tensor.shape, tensor.dtype)


@pytest.mark.parametrize("cell", CELLS)
def test_results_share_no_memory_and_are_contiguous(cell: str):
    for steps in (1, 3):
        for options in ({}, {"lengths": [steps, 0, 1]}):
            call = call_of(cell, steps=steps, requires_grad=False, **options)
            values = flat(operators.recurrent(*arguments(call)))
            assert all(value.is_contiguous() for value in values)
            tensors = [*values, *call.tensors]
            assert len({tensor.untyped_storage().data_ptr() for tensor in tensors}) == len(tensors)


def test_what_a_backend_shares_is_copied(monkeypatch: pytest.MonkeyPatch):
    """A backend may return what it was given, one tensor twice, or a view; an operator may not."""

    def sharing(call: Call, save: bool) -> tuple[Tensor, tuple[Tensor, ...], tuple[Tensor, ...]]:
        output = call.x.new_ones(3, 4, 2).transpose(0, 1)
        return output, (call.initial[0], output[-1:]), ()

    call = call_of("lstm", requires_grad=False)
    monkeypatch.setattr(reference, "forward", sharing)
    given = list(arguments(call))
    given[-2] = "reference"
    values = flat(torch.ops.gatewise.recurrent(*given, ""))
    assert torch.equal(values[1], call.initial[0])
    assert all(value.is_contiguous() for value in values)
    tensors = [*values, *call.tensors]
    assert len({tensor.untyped_storage().data_ptr() for tensor in tensors}) == len(tensors)


def test_gradients_share_no_memory():
    call = call_of("rnn_tanh", requires_grad=False)
    values = flat(run(call))
    above = upstream_of(values)
    gradients = torch.ops.gatewise.recurrent_backward(
        above[0], list(above[1:]), *arguments(call), [True] * len(call.tensors), []
    )
    tensors = [*gradients, *above, *call.tensors]
    assert len({tensor.untyped_storage().data_ptr() for tensor in tensors}) == len(tensors)


def gradients_through(operators_kept: list[Tensor], given: tuple[Any, ...]) -> list[Tensor]:
    """The gradients of all tensors from what the forward operator kept, or without it."""
    *before, needed, _ = given
    return torch.ops.gatewise.recurrent_backward(*before, [True] * len(needed), operators_kept)


@needs_engine
@combinations(
    {
        "cell": CELLS,
        "directions": ["forward", "reverse", "bidirectional"],
        "options": [
            {},
            {"lengths": [4, 0, 2], "reset": True},
            {"lengths": [0, 0, 0]},
            {"batch": 0},
            {"batch": 0, "lengths": []},
        ],
    }
)
def test_what_is_kept_gives_the_gradients(cell: str, directions: Any, options: dict[str, Any]):
    """It has a shape that does not depend on lengths; what is beyond them is not read."""
    call = call_of(cell, directions, requires_grad=False, **options)
    with full_of_nan():
        given = backward_arguments(call)
        actual = gradients_through(given[-1], given)
    assert [tuple(tensor.shape) for tensor in given[-1][1:]] == cpu.saved_shapes(call)
    tensors = [*given[-1], *call.tensors]
    if call.x.numel():
        assert len({tensor.untyped_storage().data_ptr() for tensor in tensors}) == len(tensors)
    torch.testing.assert_close(actual, gradients_through([], given))


@needs_engine
def test_nothing_is_run_again_where_something_is_kept(monkeypatch: pytest.MonkeyPatch):
    call = call_of("lstm")
    with operators_only():
        values = flat(run(call))
    monkeypatch.setattr(operators, "recomputed", None)
    torch.autograd.grad(values[0].sum(), call.tensors)
    with operators_only():
        values = flat(run(replace(call, checkpoint_every=2)))
    with pytest.raises(TypeError, match="not callable"):
        torch.autograd.grad(values[0].sum(), call.tensors)


def test_a_graph_that_was_made_where_the_engine_is_runs_without_it(monkeypatch: pytest.MonkeyPatch):
    """Compilers keep graphs on disk."""
    call = call_of("lstm", "bidirectional", lengths=[4, 0, 2], requires_grad=False)
    monkeypatch.setattr(cpu, "refusal", lambda _: "not here")
    given = backward_arguments(call)
    assert [tuple(tensor.shape) for tensor in given[-1][1:]] == cpu.saved_shapes(call)
    torch.testing.assert_close(gradients_through(given[-1], given), gradients_through([], given))


def test_a_cell_travels_as_its_text():
    text = CELLS["lagged"].text
    assert cell_of_text(text) == CELLS["lagged"]
    call = call_of("rnn_tanh", requires_grad=False)
    changed = list(arguments(call))
    changed[6] = "no cell\n"
    with pytest.raises(ValueError, match="not the text of a cell"):
        torch.ops.gatewise.recurrent(*changed, "")


def test_values_are_checked_inside():
    call = call_of("rnn_tanh", lengths=[4, 5, 1], requires_grad=False)
    with pytest.raises(ValueError, match=r"lengths: expected values between 0 and T=4.*got 5"):
        torch.ops.gatewise.recurrent(*arguments(call), "")
    named = list(arguments(call_of("peephole_lstm", requires_grad=False)))
    named[-2] = "torch"
    with pytest.raises(ValueError, match="backend 'torch' was asked for by name and cannot run"):
        torch.ops.gatewise.recurrent(*named, "")


def test_no_graph_is_kept_without_gradients():
    call = call_of("lstm")
    with torch.no_grad(), operators_only():
        assert not any(value.requires_grad for value in flat(run(call)))
    with operators_only():
        assert all(value.requires_grad for value in flat(run(call)))
