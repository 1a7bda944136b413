"""Threads: torch's number, changed between calls; several callers at once; children that were forked.

Every comparison is of bits: how rows or units are shared out does not change a sum.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from gatewise.kernels.cpu import parallelism
from gatewise.kernels.cpu.library import engine
from tests.combinations import combinations
from tests.kernels.calls import call_of, flat, on_engine, upstream_of
from tests.kernels.engine import needs_engine

pytestmark = needs_engine

# Enough work for several threads: shared out by rows, by units, and by directions.
CALLS: dict[str, dict[str, Any]] = {
    "rows": {"steps": 12, "batch": 16, "hidden_size": 40},
    "rows, ragged": {"steps": 12, "batch": 16, "hidden_size": 40, "lengths": [12, 1, 0, 7] * 4, "reset": True},
    "units": {"steps": 6, "batch": 2, "hidden_size": 300},
    "units, ragged": {"steps": 6, "batch": 3, "hidden_size": 300, "lengths": [2, 6, 0], "reset": True},
}
CELLS = ["lstm", "gru_chung2014", "peephole_lstm_full"]


@pytest.fixture
def several_processors(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As where there are processors enough: more threads than there are do no harm."""
    monkeypatch.setattr(parallelism, "_affinity", lambda: 8)
    monkeypatch.setattr(parallelism, "_quota", lambda: 8)
    before = torch.get_num_threads()
    engine().binding.forget_contention()
    yield
    torch.set_num_threads(before)


def outcome(cell: str, shape: str, backward_on: int | None = None, directions: Any = "forward") -> tuple[Tensor, ...]:
    call = call_of(cell, directions, dtype=torch.float32, **CALLS[shape])
    results = flat(on_engine(call))
    if backward_on is not None:
        torch.set_num_threads(backward_on)
    above = upstream_of(results)
    return *results, *torch.autograd.grad(results, call.tensors, above, materialize_grads=True)


def same(actual: tuple[Tensor, ...], expected: tuple[Tensor, ...]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(actual, expected, strict=True))


def close(actual: tuple[Tensor, ...], expected: tuple[Tensor, ...]) -> bool:
    """To rounding: gradients of vectors are added up thread by thread."""
    return all(
        ((a - b).abs().max() <= 1e-4 * (1 + b.abs().max())).item() for a, b in zip(actual, expected, strict=True)
    )


@combinations({"cell": CELLS, "shape": CALLS, "directions": ["forward", "bidirectional"]})
def test_any_number_of_threads_between_calls(cell: str, shape: str, directions: Any, several_processors: None):
    torch.set_num_threads(1)
    expected = outcome(cell, shape, directions=directions)
    for forward_on, backward_on in ((2, 1), (1, 2), (3, 2), (4, 4)):
        torch.set_num_threads(forward_on)
        actual = outcome(cell, shape, backward_on, directions)
        assert close(actual, expected)
        torch.set_num_threads(forward_on)
        assert same(outcome(cell, shape, backward_on, directions), actual), "the same threads, another result"


def test_several_callers_at_once(several_processors: None):
    torch.set_num_threads(2)
    work = [(cell, shape, outcome(cell, shape)) for cell in CELLS for shape in CALLS]
    wrong: list[object] = []

    def calls(first: int) -> None:
        try:
            torch.set_num_threads(2)
            for index in range(len(work)):
                cell, shape, expected = work[(first + index) % len(work)]
                if not same(outcome(cell, shape), expected):
                    wrong.append((cell, shape))
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=calls, args=(3 * index,), daemon=True) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert not wrong


def test_a_caller_whose_team_is_smaller_than_asked(several_processors: None, monkeypatch: pytest.MonkeyPatch):
    """A participant then has several slices, and must not wait for itself."""
    torch.set_num_threads(2)
    expected = outcome("gru_chung2014", "units")
    monkeypatch.setattr(parallelism, "threads", lambda: 2)
    torch.set_num_threads(1)
    assert same(outcome("gru_chung2014", "units"), expected)


FORKING = """
import os, signal, sys, torch, gatewise
from gatewise.kernels.cpu import parallelism
from gatewise.kernels.cpu.library import engine
torch.set_num_threads(2)
parallelism._affinity = parallelism._quota = lambda: 2
torch.manual_seed(0)
layer = gatewise.LSTM(64, 300, bidirectional=True, backend="cpu")
inputs = [torch.randn(20, rows, 64) for rows in (1, 16)]
gradients = [torch.randn(20, rows, 600) for rows in (1, 16)]

def train():
    found = []
    for x, gradient in zip(inputs, gradients):
        found += torch.autograd.grad(layer(x)[0], list(layer.parameters()), gradient)
    return found

expected = train()
child = os.fork()
if child == 0:
    signal.alarm(20)
    assert parallelism.threads() == 1
    trained = train()
    # torch's own larger operations would wait for threads that are not here; our call has notified it.
    for came, wanted in zip(trained, expected):
        torch.testing.assert_close(came, wanted)
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
assert parallelism.threads() == 2
train()
"""

LOADING = """
layer = gatewise.GRU(32, 300, backend="cpu").requires_grad_(False)
samples = torch.randn(6, 20, 16, 32)

class Encoded(torch.utils.data.Dataset):
    def __len__(self):
        return len(samples)
    def __getitem__(self, at):
        return layer(samples[at])[0]

expected = [layer(sample)[0] for sample in samples]
loader = torch.utils.data.DataLoader(Encoded(), batch_size=None, num_workers=2, timeout=30)
for came, wanted in zip(loader, expected, strict=True):
    torch.testing.assert_close(came, wanted)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_trains_on_one_thread_and_so_do_workers_of_a_data_loader():
    run = subprocess.run([sys.executable, "-c", FORKING + LOADING], capture_output=True, text=True, timeout=90)
    assert run.returncode == 0, run.stderr
