"""Products of whole matrices with the engine's tile, for what stands before and after the time loop.

On processors where torch's BLAS has no kernels of its own kind the tile is twice as fast; elsewhere about equal.
"""

import torch
from torch import Tensor

from gatewise.kernels.cpu.library import engine
from gatewise.kernels.cpu.split import threads
from gatewise.kernels.cpu.taping import current

# Below this much work a second thread costs more than it takes over.
SMALL = 400_000
# Which of `product_words` says how many rows, and which are addresses.
ROWS_OF_PRODUCT = 3
_POINTERS = (0, 1, 2, 12)


def product_slices(rows: int, depth: int, columns: int) -> int:
    """On how many threads to compute a product of (M, K) and (K, N)."""
    return 1 if 2 * rows * depth * columns < SMALL else min(threads(), rows)


def product_words(
    a: Tensor, b: Tensor, out: Tensor, *, add: bool = False, bias: Tensor | None = None
) -> tuple[int, ...]:
    """What tells the engine of a product; arguments as for `multiply`."""
    a_transposed, b_transposed = a.stride(1) != 1, b.stride(1) != 1
    return (
        a.data_ptr(),
        b.data_ptr(),
        out.data_ptr(),
        a.shape[0],
        b.shape[1],
        a.shape[1],
        a.stride(1) if a_transposed else a.stride(0),
        b.stride(1) if b_transposed else b.stride(0),
        out.stride(0),
        a_transposed,
        b_transposed,
        add,
        0 if bias is None else bias.data_ptr(),
    )


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
    if depth == 0 or rows == 0:
        if not add:
            out.copy_(torch.zeros_like(out) if bias is None else bias.expand_as(out))
        if (writing := current()) is not None:
            writing.possible = False
        return out
    words, slices = product_words(a, b, out, add=add, bias=bias), product_slices(rows, depth, b.shape[1])
    engine(a.dtype).multiply(a.dtype, words, slices)
    if (writing := current()) is not None:
        writing.multiply(words, _POINTERS, slices, (a, b, out, bias))
    return out
