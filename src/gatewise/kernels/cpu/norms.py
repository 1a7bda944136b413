"""Norms of rows by the engine, for whoever watches: small ones take torch longer to look at than to compute."""

from array import array
from collections.abc import Sequence

import torch
from torch import Tensor

from gatewise.kernels.cpu.library import SUFFIX, engine, why_missing
from gatewise.kernels.cpu.split import threads

# Numbers from which a second thread helps.
WORTH_SHARING = 1 << 17


def can_take_norms(*values: Tensor) -> bool:
    """Whether the engine can read these tensors."""
    return why_missing() is None and all(
        one.layout is torch.strided and one.is_cpu and one.dtype in SUFFIX and one.is_contiguous() for one in values
    )


def row_norms(values: Tensor) -> Tensor:
    """The norm of each row (…, H)."""
    norms = torch.empty(values.shape[:-1], dtype=values.dtype)
    width, count = values.shape[-1], norms.numel()
    slices = min(threads(), count) if values.numel() > WORTH_SHARING else 1
    to, of, size, words = norms.data_ptr(), values.data_ptr(), values.itemsize, array("q")
    for one in range(slices):
        first, end = count * one // slices, count * (one + 1) // slices
        words.extend((to + first * size, of + first * width * size, 0, end - first, width))
    engine(values.dtype).take_norms(values.dtype, words, slices, slices)
    return norms


def change_norms(gradients: Sequence[Tensor], after: Sequence[Tensor], before: Sequence[Tensor]) -> Tensor:
    """(3, P) the norms of gradients, of changes and of what was before; all of one dtype."""
    dtype = before[0].dtype
    norms = torch.empty((3, len(before)), dtype=dtype)
    to, words = norms.data_ptr(), array("q")
    old = [one.data_ptr() for one in before]
    gradient = [one.data_ptr() for one in gradients]
    new = [one.data_ptr() for one in after]
    widths = [one.numel() for one in before]
    nothing = [0] * len(old)
    for of, less in ((gradient, nothing), (new, old), (old, nothing)):
        for from_, less_, width in zip(of, less, widths, strict=True):
            words.extend((to, from_, less_, 1, width))
            to += dtype.itemsize
    count = 3 * len(old)
    engine(dtype).take_norms(dtype, words, count, min(threads(), count) if sum(widths) > WORTH_SHARING else 1)
    return norms
