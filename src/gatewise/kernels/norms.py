"""Norms for whoever watches: of rows, and of what a step of an optimiser did."""

from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor
from torch.linalg import vector_norm

from gatewise.kernels.cpu import norms as cpu


def row_norms(values: Tensor) -> Tensor:
    """The norm of each row (…, H), also where squares would leave the range of the numbers."""
    return norms_and_largest(values)[0]


def norms_and_largest(values: Tensor) -> tuple[Tensor, float]:
    """`row_norms`, and the largest of them: NaN where one is, infinite perhaps where its square is."""
    if not values.numel():
        return values.new_zeros(values.shape[:-1]), 0.0
    if values.dtype == torch.float32 and cpu.can_take_norms(values):
        norms = cpu.row_norms(values)  # whose squares are double
        return norms, norms.max().item()
    norms = vector_norm(values, dim=-1)
    low, high = _trusted(norms.dtype)
    smallest, largest = (one.item() for one in torch.aminmax(norms))
    # Where squares are lost, or would be infinite, the rows are scaled first; NaN stays what it is.
    if not (smallest >= low and largest <= high):
        unsure = (norms < low) | (norms > high)
        rows = values[unsure]
        scale = rows.abs().amax(dim=-1, keepdim=True)
        scale = torch.where((scale > 0) & scale.isfinite(), scale, torch.ones_like(scale))
        norms[unsure] = vector_norm(rows / scale, dim=-1) * scale[..., 0]
    return norms, largest


def norm_dtype(dtype: torch.dtype) -> torch.dtype:
    """In which precision norms of such numbers are taken."""
    return torch.float64 if dtype == torch.float64 else torch.float32


@cache
def _trusted(dtype: torch.dtype) -> tuple[float, float]:
    """Between which bounds a norm has lost no squares."""
    info = torch.finfo(dtype)
    return info.tiny**0.5 / info.eps, info.max**0.5


def change_norms(gradients: Sequence[Tensor], after: Sequence[Tensor], before: Sequence[Tensor]) -> Tensor:
    """What a step of an optimiser did to parameters.

    Arguments:
        gradients: of each; sparse ones too.
        after, before: their values, of any shapes, dtypes and devices.

    Returns:
        (3, P) norms of the gradients, of the changes and of the values before; on the device of the first.
    """
    dtype = before[0].dtype
    if all(one.dtype == dtype for one in before) and cpu.can_take_norms(*gradients, *after, *before):
        return cpu.change_norms(gradients, after, before)
    changes = [new - old for new, old in zip(after, before, strict=True)]
    norms = [vector_norm(_values(one), dtype=norm_dtype(one.dtype)) for one in (*gradients, *changes, *before)]
    return torch.stack([one.to(norms[0].device) for one in norms]).view(3, -1)


def _values(tensor: Tensor) -> Tensor:
    return tensor.coalesce().values() if tensor.layout is torch.sparse_coo else tensor
