"""Back-propagation around the backends: recomputed, recorded, twice, and derived again."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from gatewise.kernels import Call, Directions, run
from gatewise.kernels.checkpointing import recomputed
from gatewise.kernels.dispatch import BACKENDS
from gatewise.kernels.gradient import Checkpointed, Recorded
from tests.agreement import CELLS, operators_only
from tests.combinations import combinations
from tests.kernels.calls import DIRECTIONS, call_of, flat, on_reference, upstream_of

Runner = Callable[[Call], tuple[Tensor, ...]]


def recorded(call: Call) -> tuple[Tensor, ...]:
    return Recorded.apply(call, _first_of(call, "torch", "reference"), *call.tensors)


def checkpointed(call: Call) -> tuple[Tensor, ...]:
    call.checkpoint_every = 2
    return flat(run(call, backend=_first_of(call, *BACKENDS)))


def checkpointed_by_the_reference(call: Call) -> tuple[Tensor, ...]:
    call.checkpoint_every = 2
    return Checkpointed.apply(call, "reference", *call.tensors)


def through_operators(call: Call) -> tuple[Tensor, ...]:
    with operators_only():
        return flat(run(call))


def through_operators_in_segments(call: Call) -> tuple[Tensor, ...]:
    with operators_only():
        return flat(run(replace(call, checkpoint_every=3)))


def dispatched(call: Call) -> tuple[Tensor, ...]:
    return flat(run(call))


def not_compiled(call: Call) -> tuple[Tensor, ...]:
    return flat(run(call, backend=_first_of(call, "torch", "reference")))


RUNNERS: list[Runner] = [
    recorded,
    checkpointed,
    checkpointed_by_the_reference,
    through_operators,
    through_operators_in_segments,
    dispatched,
    not_compiled,
]
runners = pytest.mark.parametrize("runner", RUNNERS, ids=lambda runner: runner.__name__)


def _first_of(call: Call, *names: str) -> str:
    return next(name for name in names if BACKENDS[name].refusal(call) is None)


def close(actual: Sequence[Tensor | None], expected: Sequence[Tensor | None]) -> None:
    assert len(actual) == len(expected)
    for a, b in zip(actual, expected, strict=True):
        if b is None:
            assert a is None or (a == 0).all()
        else:
            torch.testing.assert_close(torch.zeros_like(b) if a is None else a, b, rtol=1e-10, atol=1e-12)


@combinations(
    {
        "runner": RUNNERS,
        "cell": CELLS,
        "directions": DIRECTIONS,
        "options": [{}, {"lengths": [4, 2, 1]}, {"lengths": [4, 0, 3], "reset": True}],
    }
)
def test_values_and_gradients_are_the_references(
    runner: Runner, cell: str, directions: Directions, options: dict[str, object]
):
    call = call_of(cell, directions, **options)
    expected = flat(on_reference(call))
    above = upstream_of(expected)
    actual = runner(call)
    close(actual, expected)
    # Some cells hand a state on as it is or count steps; such a state may need no gradient.
    gradients = torch.autograd.grad(actual, call.tensors, above, allow_unused=True)
    close(gradients, torch.autograd.grad(expected, call.tensors, above, allow_unused=True))


@combinations(
    {
        "runner": RUNNERS,
        "cell": ["lstm", "gru_cudnn", "gru_cho2014", "rnn_tanh", "peephole_lstm"],
        "options": [{}, {"lengths": [4, 0, 3], "reset": True}],
    }
)
def test_second_derivatives_are_the_references(runner: Runner, cell: str, options: dict[str, object]):
    call = call_of(cell, "bidirectional", **options)
    above = tuple(value.requires_grad_() for value in upstream_of(flat(on_reference(call))))
    found = []
    for function in (runner, lambda call: flat(on_reference(call))):
        first = torch.autograd.grad(function(call), call.tensors, above, create_graph=True)
        weights = upstream_of(first, seed=2)
        second = torch.autograd.grad(first, (*call.tensors, *above), weights, create_graph=True, allow_unused=True)
        third = torch.autograd.grad(sum(value.square().sum() for value in second if value is not None), call.x)
        found.append((first, second, third))
    for actual, expected in zip(*found, strict=True):
        close(actual, expected)


@runners
def test_only_what_is_asked_for_is_differentiated(runner: Runner):
    for asked in range(1 + 2 + 4):
        call = call_of("lstm", reset=True, lengths=[4, 3, 1], requires_grad=False)
        call.tensors[asked].requires_grad_()
        expected = flat(on_reference(call))
        (gradient,) = torch.autograd.grad(runner(call)[0].sum(), call.tensors[asked])
        close([gradient], torch.autograd.grad(expected[0].sum(), call.tensors[asked]))


@runners
def test_upstream_of_one_result_alone(runner: Runner):
    call = call_of("lstm", "bidirectional", lengths=[4, 0, 3])
    expected = flat(on_reference(call))
    for index in range(3):
        actual = runner(call)
        close(
            torch.autograd.grad(actual[index].sum(), call.tensors, allow_unused=True),
            torch.autograd.grad(expected[index].sum(), call.tensors, retain_graph=True, allow_unused=True),
        )


@runners
def test_backward_twice_needs_retain_graph(runner: Runner):
    for reset in (False, True):
        call = call_of("lstm", reset=reset)
        output = runner(call)[0]
        once = torch.autograd.grad(output.sum(), call.tensors, retain_graph=True)
        twice = torch.autograd.grad(output.sum(), call.tensors)
        for a, b in zip(once, twice, strict=True):
            assert torch.equal(a, b)
        with pytest.raises(RuntimeError, match="second time"):
            torch.autograd.grad(output.sum(), call.tensors)


@pytest.mark.parametrize("options", [{}, {"lengths": [4, 0, 3], "reset": True}], ids=str)
@runners
def test_saved_tensors_may_be_put_elsewhere_meanwhile(runner: Runner, options: dict[str, object]):
    """As torch.utils.checkpoint and offloading do: what comes back has the values and no history."""
    call = call_of("lstm", "bidirectional", **options)
    expected = flat(on_reference(call))
    above = upstream_of(expected)
    gradients = torch.autograd.grad(expected, call.tensors, above)
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: tensor.detach().clone(), lambda tensor: tensor):
        actual = runner(call)
    close(torch.autograd.grad(actual, call.tensors, above), gradients)
    actual = checkpoint(runner, call, use_reentrant=False)
    close(torch.autograd.grad(actual, call.tensors, above), gradients)


@runners
def test_changing_what_was_saved_is_noticed(runner: Runner):
    call = call_of("lstm", reset=True)
    parameter = call.parameters[1]
    output = runner(call)[0]
    with torch.no_grad():
        parameter.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.grad(output.sum(), call.x)


@runners
def test_backward_leaves_what_it_was_given_as_it_was(runner: Runner):
    call = call_of("gru_cudnn", "bidirectional", lengths=[4, 0, 3], reset=True)
    actual = runner(call)
    above = upstream_of(actual)
    kept = [tensor.detach().clone() for tensor in (*call.tensors, *actual, *above)]
    torch.autograd.grad(actual, call.tensors, above)
    for before, after in zip(kept, (*call.tensors, *actual, *above), strict=True):
        assert torch.equal(before, after)


@runners
def test_results_share_no_memory(runner: Runner):
    for cell in CELLS:
        for steps in (1, 3):
            for grad in (False, True):
                call = call_of(cell, steps=steps, requires_grad=grad)
                tensors = [*runner(call), *call.tensors]
                addresses = [tensor.untyped_storage().data_ptr() for tensor in tensors]
                assert len(set(addresses)) == len(addresses), (cell, steps, grad)


@pytest.mark.parametrize("every", [1, 2, 3, 4, 5, 100])
@pytest.mark.parametrize("directions", DIRECTIONS)
def test_recomputed_by_any_number_of_steps(directions: Directions, every: int):
    for backend in BACKENDS:
        for options in ({}, {"lengths": [5, 2, 1]}, {"lengths": [5, 0, 4], "reset": True}):
            call = call_of("lstm", directions, steps=5, **options)
            if BACKENDS[backend].refusal(call) is not None:
                continue
            expected = flat(on_reference(call))
            above = upstream_of(expected)
            actual = recomputed(call, backend, above, [True] * len(call.tensors), every)
            close(actual, torch.autograd.grad(expected, call.tensors, above))


def test_recomputed_keeps_less_than_the_plain_run():
    """The graph of a checkpointed run saves the arguments, and the states that reach each segment."""

    def saved(every: int | None, steps: int) -> int:
        call = call_of("peephole_lstm", steps=steps)
        own = {tensor.data_ptr() for tensor in call.tensors}
        sizes: list[int] = []

        def pack(tensor: Tensor) -> Tensor:
            if tensor.data_ptr() not in own:
                sizes.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            run(replace(call, checkpoint_every=every))
        return sum(sizes)

    states = 2 * 3 * 2  # of three rows of width two
    assert saved(2, steps=40) == 20 * states
    assert saved(10, steps=40) == 4 * states
    assert saved(40, steps=40) == states
    assert saved(None, steps=40) > 40 * 4 * 3 * 2
