"""The pool of buffers: bounded, aligned, returned when the last tensor is freed, in any thread."""

import gc
import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import numpy
import pytest
import torch
from torch import Tensor

import gatewise
from gatewise.kernels.cpu import buffer_pool
from tests.kernels.engine import needs_engine

MEGABYTE = 1 << 20


@pytest.fixture(autouse=True)
def empty_pool() -> Iterator[None]:
    buffer_pool.clear()
    yield
    buffer_pool.clear()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("shape", [(1,), (3,), (0, 5), (7, 3001), (1000, 1001), (2, 3, 50000)], ids=str)
def test_a_tensor_as_asked_for(shape: tuple[int, ...], dtype: torch.dtype):
    tensor = buffer_pool.empty(shape, dtype)
    assert tensor.shape == shape
    assert tensor.dtype == dtype
    assert tensor.is_contiguous()
    assert tensor.data_ptr() % 64 == 0
    tensor.fill_(1)
    assert tensor.sum() == tensor.numel()


def test_memory_is_used_again_when_the_last_view_is_gone():
    tensor = buffer_pool.empty((512, 1024), torch.float32)
    address, view = tensor.data_ptr(), tensor[3:5].t()
    del tensor
    assert buffer_pool.held() == 0
    other = buffer_pool.empty((512, 1024), torch.float32)
    assert other.data_ptr() != address
    del view
    assert buffer_pool.held() == 2 * MEGABYTE
    # A little less fits, in the other precision too.
    again = buffer_pool.empty((511, 512), torch.float64)
    assert again.data_ptr() == address
    assert buffer_pool.held() == 0


def test_at_most_an_eighth_is_lost_to_rounding():
    for size in range(buffer_pool.SMALLEST, 3 * buffer_pool.SMALLEST, 4097):
        assert size <= buffer_pool.rounded(size) <= 1.125 * size + 64
        assert buffer_pool.rounded(buffer_pool.rounded(size)) == buffer_pool.rounded(size)


def test_small_tensors_are_left_to_the_allocator():
    del [buffer_pool.empty((10,), torch.float32) for _ in range(3)][:]
    assert buffer_pool.held() == 0


def test_the_pool_is_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(buffer_pool, "LIMIT", 5 * MEGABYTE)
    tensors = [buffer_pool.empty((MEGABYTE // 2,), torch.float32) for _ in range(4)]
    tensors.clear()
    assert buffer_pool.held() == 4 * MEGABYTE
    buffer_pool.clear()
    assert buffer_pool.held() == 0


class Cycle:
    """Garbage that only the collector finds."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor, self.me = tensor, self


def test_the_collector_may_come_at_any_moment(monkeypatch: pytest.MonkeyPatch):
    """Inside the pool too, where it must not wait for a lock."""

    class Collecting(dict[int, list[numpy.ndarray]]):
        def __getitem__(self, size: int) -> list[numpy.ndarray]:
            gc.collect()
            return super().__getitem__(size)

    monkeypatch.setattr(buffer_pool, "_free", Collecting())
    Cycle(buffer_pool.empty((MEGABYTE,), torch.float32))
    ended = threading.Thread(target=lambda: buffer_pool.empty((MEGABYTE,), torch.float32), daemon=True)
    ended.start()
    ended.join(10)
    assert not ended.is_alive()
    gc.collect()
    assert buffer_pool.held() == 4 * MEGABYTE


def test_threads_share_the_pool():
    def work(seed: int) -> None:
        for index in range(200):
            tensor = buffer_pool.empty((64 + (seed + index) % 3, 1024), torch.float32)
            tensor.fill_(seed)
            if not (tensor == seed).all():
                wrong.append(seed)

    wrong: list[int] = []
    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert buffer_pool.held() == sum(block.nbytes for blocks in buffer_pool._free.values() for block in blocks)


def test_what_the_pool_holds_is_given_up_before_memory_runs_out(monkeypatch: pytest.MonkeyPatch):
    del [buffer_pool.empty((MEGABYTE,), torch.float32)][:]
    fresh = buffer_pool._fresh

    def scarce(size: int) -> numpy.ndarray:
        if buffer_pool.held():
            raise MemoryError
        return fresh(size)

    monkeypatch.setattr(buffer_pool, "_fresh", scarce)
    assert buffer_pool.empty((2 * MEGABYTE,), torch.float32).shape == (2 * MEGABYTE,)
    message = (
        "the fused CPU kernels found no 4294967296 MiB of memory; use smaller batches, shorter sequences, or check"
    )
    with pytest.raises(MemoryError, match=message):
        buffer_pool.empty((1 << 50,), torch.float32)


@needs_engine
def test_buffers_live_as_long_as_the_autograd_context():
    layer = gatewise.LSTM(64, 64, backend="cpu")
    x = torch.randn(100, 16, 64)
    output = layer(x)[0]
    before = buffer_pool.held()
    taken = output.untyped_storage().data_ptr()
    del output
    gc.collect()
    after = buffer_pool.held()
    # Output and what was saved, five of its size, but for what was in the pool before (workspaces).
    assert after - before >= 6 * x.numel() * 4
    for _ in range(3):
        output = layer(x)[0]
        assert output.untyped_storage().data_ptr() == taken
        output.sum().backward()
        layer.zero_grad()
        del output
        assert buffer_pool.held() <= 2 * after + 6 * MEGABYTE
    first = buffer_pool.held()
    for _ in range(3):
        layer(x)[0].sum().backward()
        layer.zero_grad()
    assert buffer_pool.held() == first, "something is not used again"


LIMITED = """
import resource, torch, gatewise
layer = gatewise.LSTM(64, 64, backend="cpu")
small, large = torch.randn(5, 2, 64), torch.randn(1, 1, 64).expand(40_000, 64, 64)
expected = layer(small)[0]
with open("/proc/self/statm") as statm:
    size = int(statm.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + (1 << 29), -1))
try:
    layer(large)[0].sum().backward()
except MemoryError as error:
    print("MemoryError", error)
output = layer(small)[0]
assert torch.equal(output, expected)
output.sum().backward()
"""


@needs_engine
@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="Linux reports the size of a process in /proc")
def test_a_process_that_runs_out_of_memory_raises_and_continues():
    run = subprocess.run([sys.executable, "-c", LIMITED], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("MemoryError the fused CPU kernels"), run.stdout
