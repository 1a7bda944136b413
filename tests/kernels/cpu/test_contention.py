"""Teams that lose to one thread, as where another program uses one of the processors."""

import ctypes
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import torch

import gatewise
from gatewise.kernels.cpu import execution, parallelism
from gatewise.kernels.cpu.library import engine
from tests.kernels.engine import needs_engine

pytestmark = needs_engine

BODY = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)
POOL = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, BODY, ctypes.c_void_p)
TEAMS: list[int] = []


@POOL
def slow_pool(begin: int, end: int, grain: int, body: Callable[[int, int, int], None], context: int) -> int:
    """Runs every range on a thread of its own, which gets a processor milliseconds late."""
    TEAMS.append(-(-(end - begin) // grain))

    def late(first: int) -> None:
        time.sleep(2e-3)
        body(first, min(first + grain, end), context)

    team = [threading.Thread(target=late, args=(first,)) for first in range(begin, end, grain)]
    for thread in team:
        thread.start()
    for thread in team:
        thread.join()
    return 0


@pytest.fixture
def two_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(parallelism, "processors", lambda: 2)
    monkeypatch.setattr(execution, "SHARE_SMALL", 1)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    engine().binding.forget_contention()
    yield
    engine().binding.forget_contention()
    torch.set_num_threads(before)


def limit() -> int:
    return engine().binding.contention()[0]


def test_a_losing_team_is_reduced_with_the_same_bits_and_a_reason(two_threads: None, monkeypatch: pytest.MonkeyPatch):
    torch.manual_seed(0)
    layer, x = gatewise.LSTM(8, 40), torch.randn(5, 6, 8)
    expected, _ = layer(x)
    with monkeypatch.context() as patch:
        patch.setattr(execution, "pool_address", lambda: ctypes.cast(slow_pool, ctypes.c_void_p).value)
        TEAMS.clear()
        for _ in range(40):
            assert torch.equal(layer(x)[0], expected)
        assert TEAMS
        calls = len(TEAMS)
        assert limit() == 1
        assert torch.equal(layer(x)[0], expected)  # one thread, two slices
        assert len(TEAMS) == calls
        reason = layer.backend_for(x).reason
        assert "on one thread while other programs use the processors: a team took " in reason, reason
    engine().binding.forget_contention()
    assert limit() > 1
    assert "other programs" not in layer.backend_for(x).reason


@pytest.mark.parametrize("text", ["0", "two", "-1", ""])
def test_the_variable_is_a_number_of_threads(text: str, monkeypatch: pytest.MonkeyPatch):
    parallelism._requested.cache_clear()
    monkeypatch.setenv("GATEWISE_THREADS", text)
    with pytest.raises(ValueError, match=f"GATEWISE_THREADS: expected a number of threads, 1 or more, got '{text}'"):
        parallelism.team()


def test_the_variable_fixes_the_partition_whatever_number_torch_has():
    script = """
import torch, gatewise
from gatewise.kernels.cpu import execution
torch.manual_seed(0)
layer, x = gatewise.LSTM(64, 64), torch.randn(20, 32, 64)
for threads in 1, 2:
    torch.set_num_threads(threads)
    gradients = torch.autograd.grad(layer(x)[0].sum(), list(layer.parameters()))
    print(hash(tuple(value.double().sum().item() for value in gradients)))
"""
    run = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, "GATEWISE_THREADS": "2"}, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    first, second = run.stdout.split()
    assert first == second
