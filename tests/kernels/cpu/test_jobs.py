"""Long runs are issued in chunks of time, between which they can be interrupted."""

import signal
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from gatewise.cells import names
from gatewise.kernels import Directions, cpu
from gatewise.kernels.cpu import jobs, library
from tests.kernels.calls import DIRECTIONS, call_of, flat, upstream_of
from tests.kernels.engine import needs_engine

pytestmark = needs_engine


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize(("steps", "work"), [(1, 1), (10, jobs.CHUNK), (11, jobs.CHUNK // 3), (5, 10 * jobs.CHUNK)])
def test_chunks_cover_every_step_once_in_order(steps: int, work: int, backward: bool):
    found = list(jobs.chunks(steps, work, backward))
    covered = [step for begin, end in found for step in range(begin, end)]
    assert sorted(covered) == list(range(steps))
    assert covered == sorted(covered) or backward
    assert sorted(found, reverse=backward) == found
    assert all((end - begin) * work <= jobs.CHUNK or end - begin == 1 for begin, end in found)


def seen_runs(monkeypatch: pytest.MonkeyPatch, then: Callable[[int], object] = lambda _: None) -> list[tuple[int, int]]:
    """The steps, from and to, of each call of the engine; ``then`` is called after each with their number."""
    seen: list[tuple[int, int]] = []
    original = library.Engine.run

    def run(self: library.Engine, dtype: torch.dtype, words: list[int], count: int, slices: int) -> None:
        original(self, dtype, words, count, slices)
        seen.append((words[5], words[6]))
        then(len(seen))

    monkeypatch.setattr(library.Engine, "run", run)
    return seen


def test_a_short_run_is_one_call(monkeypatch: pytest.MonkeyPatch):
    seen = seen_runs(monkeypatch)
    call = call_of("lstm", "bidirectional", steps=100, batch=32, hidden_size=32)
    flat(cpu.run(call))[0].sum().backward()
    assert seen == [(0, 100)] * 2


def test_a_run_of_seconds_is_several(monkeypatch: pytest.MonkeyPatch):
    """Of 300 megaflops a step; nothing is computed here."""
    seen: list[int] = []
    monkeypatch.setattr(library.Engine, "run", lambda self, dtype, words, count, slices: seen.append(words[6]))
    call = call_of("rnn_tanh", steps=20, batch=150, input_size=1, hidden_size=1024, dtype=torch.float32)
    flat(cpu.run(call))[0].sum().backward()
    assert len(seen) >= 6
    assert max(seen) == 20


@pytest.mark.parametrize("options", [{}, {"lengths": [7, 0, 4], "reset": True}], ids=["", "ragged"])
@pytest.mark.parametrize("directions", DIRECTIONS)
@pytest.mark.parametrize("cell", names())
def test_chunks_change_nothing(
    cell: str, directions: Directions, options: dict[str, object], monkeypatch: pytest.MonkeyPatch
):
    call = call_of(cell, directions, steps=7, **options)
    seen = seen_runs(monkeypatch)

    def outcome() -> tuple[Tensor, ...]:
        with torch.no_grad():
            alone = flat(cpu.run(call))
        results = flat(cpu.run(call))
        above = upstream_of(results)
        return *alone, *results, *torch.autograd.grad(results, call.tensors, above, materialize_grads=True)

    expected = outcome()
    assert len(seen) == 3
    for chunk in (2_000, 0):
        monkeypatch.setattr(jobs, "CHUNK", chunk)
        seen.clear()
        for came, value in zip(outcome(), expected, strict=True):
            assert torch.equal(came, value)
    assert len(seen) == 3 * 7


@pytest.fixture
def interruptible() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("at", [2, 12], ids=["forward", "backward"])
def test_ctrl_c_between_chunks(at: int, interruptible: None, monkeypatch: pytest.MonkeyPatch):
    call = call_of("lstm", steps=10, batch=8, hidden_size=64)
    expected = flat(cpu.run(call))[0]
    monkeypatch.setattr(jobs, "CHUNK", 0)
    seen = seen_runs(monkeypatch, lambda count: signal.raise_signal(signal.SIGINT) if count == at else None)
    with pytest.raises(KeyboardInterrupt):
        flat(cpu.run(call))[0].sum().backward()
    assert len(seen) == at
    # Nothing is left in a wrong state.
    output = flat(cpu.run(call))[0]
    assert torch.equal(output, expected)
    output.sum().backward()
