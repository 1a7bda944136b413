"""Rows between the caller's order and the engine's, on as many threads as it is worth."""

import torch
from torch import Tensor

from gatewise.kernels.cpu import memory
from gatewise.kernels.cpu.library import engine
from gatewise.kernels.cpu.split import threads

# Below so many bytes a second thread costs more than it takes over.
SMALL = 1 << 18


def gather(source: Tensor, index: Tensor) -> Tensor:
    """The rows of (M, W) that an index (N,) names, (N, W)."""
    target = memory.empty((len(index), source.shape[1]), source.dtype)
    _copy(source, target, index, None, len(index))
    return target


def scatter(source: Tensor, target: Tensor, index: Tensor) -> None:
    """Copy the rows of (N, W) to where an index (N,) names rows of a target (M, W)."""
    _copy(source, target, None, index, len(index))


def clear(target: Tensor, index: Tensor) -> None:
    """Set to zero the rows of a target (M, W) that an index (N,) names."""
    _copy(None, target, None, index, len(index))


def _copy(source: Tensor | None, target: Tensor, source_index: Tensor | None, index: Tensor | None, rows: int) -> None:
    size, width = target.element_size(), target.shape[1]
    slices = 1 if rows * width * size < SMALL else threads()
    engine(torch.float32).copy_rows(
        (
            0 if source is None else source.data_ptr(),
            target.data_ptr(),
            0 if source is None else source.stride(0) * size,
            target.stride(0) * size,
            width * size,
            0 if source_index is None else source_index.data_ptr(),
            0 if index is None else index.data_ptr(),
            rows,
        ),
        slices,
    )
