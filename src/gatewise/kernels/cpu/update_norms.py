"""Update norms of an optimiser step, computed by the engine: faster than torch for small weights."""

from array import array
from collections.abc import Sequence

import torch
from torch import Tensor

from gatewise.kernels.cpu.library import SUFFIX, engine, why_missing
from gatewise.kernels.cpu.parallelism import threads

# Number of elements from which a second thread is worthwhile.
WORTH_SHARING = 1 << 17


def change_norms(gradients: Sequence[Tensor], after: Sequence[Tensor], before: Sequence[Tensor]) -> Tensor | None:
    """See `gatewise.kernels.update_norms`; None for tensors the engine cannot read, or of several dtypes."""
    count, dtype = len(before), before[0].dtype
    if dtype not in SUFFIX or why_missing() is not None:
        return None
    norms = torch.empty((3, count), dtype=dtype, device="cpu")
    to, size, numbers, words = norms.data_ptr(), dtype.itemsize, 0, array("q")
    for of_one in zip(gradients, after, before, strict=True):
        for tensor in of_one:
            if (
                tensor.dtype is not dtype
                or tensor.layout is not torch.strided
                or not tensor.is_cpu
                or not tensor.is_contiguous()
            ):
                return None
        gradient, new, old = of_one
        length = old.numel()
        words.extend((to, count, gradient.data_ptr(), new.data_ptr(), old.data_ptr(), length))
        to += size
        numbers += length
    engine().measure(dtype, words, count, 1 if numbers < WORTH_SHARING else min(threads(), count))
    return norms
