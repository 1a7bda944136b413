"""Memory as a test wants it: full of NaN, so that an unwritten value shows; or counted."""

import weakref
from collections.abc import Iterator
from contextlib import contextmanager

import numpy
import pytest
import torch
from torch import Tensor

from gatewise.kernels.cpu import buffer_pool, library, workspace


@contextmanager
def full_of_nan() -> Iterator[None]:
    """Uninitialised tensors, of the pool and of torch, hold NaN."""
    original = buffer_pool.empty

    def filled(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        return original(shape, dtype).fill_(torch.nan)

    # This, too, makes torch fill what torch.empty and its kin return.
    torch.use_deterministic_algorithms(True)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(buffer_pool, "empty", filled)
            patch.setattr(buffer_pool, "SMALLEST", 1)  # whatever its size
            # The engine's workspaces: all ones are NaN in both precisions.
            larger = workspace.larger
            patch.setattr(workspace, "larger", lambda size: _spoilt(larger(size)))
            with fresh_workspaces():
                yield
    finally:
        torch.use_deterministic_algorithms(False)


@contextmanager
def fresh_workspaces() -> Iterator[None]:
    """No call reuses the workspace of another."""
    if library.why_missing() is not None:
        yield
        return
    keep = library.engine().binding.keep_workspaces
    before = keep(0)
    try:
        yield
    finally:
        keep(before)


def _spoilt(one: workspace.Workspace) -> workspace.Workspace:
    one.memory.fill(255)
    return one


class Counted:
    """What is taken from the pool inside a ``with`` block, and how much of it is still in use."""

    def __init__(self) -> None:
        self._leases: list[tuple[weakref.ref[numpy.ndarray], int]] = []
        self._patch = pytest.MonkeyPatch()

    def __enter__(self) -> "Counted":
        take = buffer_pool._take

        def counted(size: int) -> numpy.ndarray:
            lease = take(size)
            self._leases.append((weakref.ref(lease), size))
            return lease

        self._patch.setattr(buffer_pool, "_take", counted)
        self._patch.setattr(buffer_pool, "rounded", lambda size: size)
        self._patch.setattr(buffer_pool, "SMALLEST", 1)
        buffer_pool.clear()
        return self

    def __exit__(self, *_: object) -> None:
        self._patch.undo()
        buffer_pool.clear()

    @property
    def bytes_in_use(self) -> int:
        return sum(size for lease, size in self._leases if lease() is not None)
