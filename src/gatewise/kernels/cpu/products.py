"""Products of whole matrices with the engine's tile, for what stands before and after the time loop.

On processors where torch's BLAS has no kernels of its own kind the tile is twice as fast; elsewhere about equal.
"""

import torch
from torch import Tensor

from gatewise.kernels.cpu.library import engine

# Below this much work a second thread costs more than it takes over.
SMALL = 400_000


def multiply(a: Tensor, b: Tensor, *, out: Tensor, add: bool = False, bias: Tensor | None = None) -> Tensor:
    """``out = a @ b`` (+ bias), or ``out += a @ b``.

    Arguments:
        a: (M, K), either dimension dense.
        b: (K, N), either dimension dense.
        out: (M, N), rows dense.
        add: add to out.
        bias: (N,), dense; not together with add.
    """
    rows, depth = a.shape
    columns = b.shape[1]
    if depth == 0 or rows == 0:
        if not add:
            out.copy_(torch.zeros_like(out) if bias is None else bias.expand_as(out))
        return out
    a_transposed, b_transposed = a.stride(1) != 1, b.stride(1) != 1
    work = 2 * rows * depth * columns
    slices = 1 if work < SMALL else min(torch.get_num_threads(), rows)
    engine(a.dtype).multiply(
        a.dtype,
        (
            a.data_ptr(),
            b.data_ptr(),
            out.data_ptr(),
            rows,
            columns,
            depth,
            a.stride(1) if a_transposed else a.stride(0),
            b.stride(1) if b_transposed else b.stride(0),
            out.stride(0),
            a_transposed,
            b_transposed,
            add,
            0 if bias is None else bias.data_ptr(),
        ),
        slices,
    )
    return out
