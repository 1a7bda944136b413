"""Norms of rows, for whoever watches."""

from functools import cache

import torch
from torch import Tensor
from torch.linalg import vector_norm


def row_norms(values: Tensor) -> Tensor:
    """The norm of each row (…, H), also where squares would leave the range of the numbers."""
    norms = vector_norm(values, dim=-1)
    if not norms.numel():
        return norms
    low, high = _trusted(norms.dtype)
    smallest, largest = (one.item() for one in torch.aminmax(norms))
    # Where squares are lost, or would be infinite, the rows are scaled first; NaN stays what it is.
    if not (smallest >= low and largest <= high):
        unsure = (norms < low) | (norms > high)
        rows = values[unsure]
        scale = rows.abs().amax(dim=-1, keepdim=True)
        scale = torch.where((scale > 0) & scale.isfinite(), scale, torch.ones_like(scale))
        norms[unsure] = vector_norm(rows / scale, dim=-1) * scale[..., 0]
    return norms


def norm_dtype(dtype: torch.dtype) -> torch.dtype:
    """In which precision norms of such numbers are taken."""
    return torch.float64 if dtype == torch.float64 else torch.float32


@cache
def _trusted(dtype: torch.dtype) -> tuple[float, float]:
    """Between which bounds a norm has lost no squares."""
    info = torch.finfo(dtype)
    return info.tiny**0.5 / info.eps, info.max**0.5
