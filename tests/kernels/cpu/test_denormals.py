"""Numbers below the smallest normal one are zero inside the engine, on every thread, and outside what they were."""

from collections.abc import Iterator

import pytest
import torch

from gatewise.kernels.cpu import parallelism
from tests.kernels.calls import call_of, flat, on_engine
from tests.kernels.engine import needs_engine

pytestmark = needs_engine
TINY = {torch.float32: 1e-39, torch.float64: 1e-309}
DTYPES = pytest.mark.parametrize("dtype", TINY, ids=str)


@pytest.fixture(params=[1, 3])
def threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    for name in ("_affinity", "_quota"):
        monkeypatch.setattr(parallelism, name, lambda: 8)
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.fixture(params=[False, True], ids=["kept by the caller", "flushed by the caller"])
def flushed(request: pytest.FixtureRequest) -> Iterator[bool]:
    if not torch.set_flush_denormal(request.param):
        pytest.skip("this processor cannot flush")
    yield request.param
    torch.set_flush_denormal(False)


def flushes(dtype: torch.dtype) -> bool:
    """Whether this thread's arithmetic makes zero of what is tiny."""
    return bool((torch.full((3,), TINY[dtype], dtype=dtype) * 1.0 == 0).all())


@DTYPES
def test_both_passes(dtype: torch.dtype, threads: int, flushed: bool):
    """A ReLU network that hands its state on, which is tiny: zero after a step, and so is the gradient."""
    call = call_of("rnn_relu", steps=8, batch=12, input_size=1, hidden_size=80, dtype=dtype)
    with torch.no_grad():
        for tensor in call.tensors:
            tensor.zero_()
        call.initial[0].fill_(TINY[dtype])
        call.parameters[1].copy_(torch.eye(80))
    output, final = flat(on_engine(call))
    assert (output == 0).all()
    assert (final == 0).all()
    assert flushes(dtype) == flushed
    call.initial[0].data.fill_(1)
    output, final = flat(on_engine(call))
    assert (output == 1).all()
    (gradient,) = torch.autograd.grad(final, call.initial, torch.full_like(final, TINY[dtype]))
    assert (gradient == 0).all()
    assert flushes(dtype) == flushed


def test_torchs_threads_are_left_as_they_were(threads: int):
    torch.set_flush_denormal(False)
    flat(on_engine(call_of("lstm", steps=8, batch=12, hidden_size=80)))[0].sum().backward()
    # Large enough for all of them.
    large = torch.full((1 << 18,), TINY[torch.float32])
    assert (large * 1.0 != 0).all()
