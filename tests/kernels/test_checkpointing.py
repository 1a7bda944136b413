"""Sequences run by segments: the bits of the plain path, what is kept, and what is not computed again."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from gatewise.kernels import AUTO, Call, Directions, cpu, reference, run
from gatewise.kernels.checkpointing import recomputed, run_by_segments
from gatewise.kernels.cpu import buffer_pool, workspace
from tests.agreement import CELLS
from tests.combinations import combinations
from tests.kernels.calls import DIRECTIONS, call_of, flat, upstream_of
from tests.kernels.cpu.workspaces import fresh_workspaces

STEPS = 38
RAGGED = [38, 20, 17, 14, 0]
OPTIONS: list[dict[str, Any]] = [{}, {"lengths": RAGGED}, {"reset": True}, {"lengths": RAGGED, "reset": True}]


def of_both(call: Call, every: int) -> list[tuple[tuple[torch.Tensor, ...], ...]]:
    """Results and gradients of the plain path and of segments."""
    found = []
    for checkpoint_every in (None, every):
        results = flat(run(replace(call, checkpoint_every=checkpoint_every), backend="cpu"))
        found.append((results, torch.autograd.grad(results, call.tensors, upstream_of(results), allow_unused=True)))
    return found


@combinations(
    {
        "cell": ["lstm", "gru_chung2014", "lagged"],
        "directions": DIRECTIONS,
        "options": OPTIONS,
        "dtype": [torch.float32, torch.float64],
    }
)
def test_the_bits_are_those_of_the_plain_path(
    cell: str, directions: Directions, options: dict[str, Any], dtype: torch.dtype
):
    call = call_of(cell, directions, steps=STEPS, batch=5, input_size=7, hidden_size=20, dtype=dtype, **options)
    if cpu.refusal(call) is not None:
        pytest.skip("the engine does not run it here")
    # Rows of different lengths that are read from their ends meet others in a segment than in the whole.
    to_the_bit = directions == "forward" or "lengths" not in options
    if not to_the_bit and dtype is torch.float32:
        pytest.skip("in float32 these weights amplify a rounding beyond recognition")
    near = {"rtol": 1e-10, "atol": 1e-12} if dtype is torch.float64 else {"rtol": 1e-3, "atol": 1e-3}
    for every in (4, 9, AUTO):
        (results, gradients), (actual, came_gradients) = of_both(call, every)
        states = 1 + len(call.initial)
        for number, (a, b) in enumerate(zip((*results, *gradients), (*actual, *came_gradients), strict=True)):
            if to_the_bit and number < 2 * states:
                assert torch.equal(a, b), (every, number)
            else:
                torch.testing.assert_close(a, b, **near)


@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_has_its_gradients(cell: str):
    call = call_of(cell, "bidirectional", steps=STEPS, batch=5, lengths=RAGGED, reset=True)
    results = flat(run(call))
    above = upstream_of(results)
    expected = torch.autograd.grad(results, call.tensors, above, allow_unused=True)
    for a, b in zip(
        recomputed(replace(call, checkpoint_every=5), "reference", above, [True] * len(call.tensors)),
        expected,
        strict=True,
    ):
        a, b = (torch.zeros(1) if one is None else one for one in (a, b))
        torch.testing.assert_close(a.expand_as(b), b, rtol=1e-9, atol=1e-11, check_dtype=False)


def test_unneeded_gradients_are_none():
    call = call_of("lstm", steps=9)
    results = flat(run(call))
    above = upstream_of(results)
    expected = torch.autograd.grad(results, call.tensors, above)
    for asked in range(len(call.tensors)):
        needed = [number == asked for number in range(len(call.tensors))]
        actual = recomputed(replace(call, checkpoint_every=4), "reference", above, needed)
        assert [gradient is not None for gradient in actual] == needed
        torch.testing.assert_close(actual[asked], expected[asked])


def test_only_what_reaches_a_segment_is_kept():
    call = call_of("lstm", "bidirectional", steps=40)
    for every, count in ((12, 4), (20, 2), (39, 2), (AUTO, 2)):
        output, finals, boundary_states = run_by_segments(replace(call, checkpoint_every=every), "reference")
        assert [[state.shape for state in direction] for direction in boundary_states] == [[(count, 3, 2)] * 2] * 2
        torch.testing.assert_close((output, *finals), flat(run(call)))
        for state, kept in zip(call.initial, boundary_states[0], strict=True):
            assert torch.equal(kept[0], state[0])
    assert run_by_segments(replace(call, checkpoint_every=40), "reference")[2] == []


def test_a_segment_is_run_twice_and_no_more(monkeypatch: pytest.MonkeyPatch):
    call = call_of("lstm", steps=12)
    steps: list[int] = []
    forward = reference.forward

    def counted(call: Call, save: bool) -> Any:
        steps.append(len(call.x))
        return forward(call, save)

    monkeypatch.setattr(reference, "forward", counted)
    run(replace(call, checkpoint_every=4), backend="reference")[0].sum().backward()
    assert steps == [4] * 6


def workspace_of(call: Call, steps: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """The bytes of the largest workspace that the engine asks for."""
    asked = [0]
    larger = workspace.larger

    def counted(size: int) -> workspace.Workspace:
        asked.append(size)
        return larger(size)

    with monkeypatch.context() as patched, fresh_workspaces():
        patched.setattr(workspace, "larger", counted)
        run(replace(call, x=call.x[:steps], checkpoint_every=10), backend="cpu")[0].sum().backward()
    return max(asked)


@pytest.mark.parametrize("batch", [1, 8])
def test_memory_is_that_of_one_segment(monkeypatch: pytest.MonkeyPatch, batch: int):
    """Of all that the engine asks for, nothing grows with the sequence but output and gradient of x."""
    largest: list[int] = []
    empty = buffer_pool.empty

    def counted(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        largest.append(math.prod(shape))
        return empty(shape, dtype)

    call = call_of("lstm", steps=400, batch=batch, input_size=16, hidden_size=16)
    if cpu.refusal(call) is not None:
        pytest.skip("the engine does not run it here")
    monkeypatch.setattr(buffer_pool, "empty", counted)
    monkeypatch.setattr(buffer_pool, "SMALLEST", 1)
    workspaces = [workspace_of(call, steps, monkeypatch) for steps in (20, 400)]
    assert workspaces[0] == workspaces[1] > 0
    largest.clear()
    run(replace(call, checkpoint_every=10), backend="cpu")[0].sum().backward()
    whole = 400 * batch * 16
    assert largest.count(whole) == 2
    largest = [size for size in largest if size != whole]
    assert max(largest) <= 10 * batch * 16 * 8  # rows, units, and at most this many values of each
