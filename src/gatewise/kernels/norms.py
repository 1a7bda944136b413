"""Norms of rows, for observers."""

from functools import cache

import torch
from torch import Tensor
from torch.linalg import vector_norm


def row_norms(values: Tensor) -> Tensor:
    """The norm of each row (…, H), also where squares would over- or underflow."""
    norms = vector_norm(values, dim=-1)
    if not norms.numel():
        return norms
    low, high = _safe_range(norms.dtype)
    smallest, largest = (one.item() for one in torch.aminmax(norms))
    # Rows whose squares under- or overflow are scaled first; NaN is preserved.
    if not (smallest >= low and largest <= high):
        unsafe = (norms < low) | (norms > high)
        rows = values[unsafe]
        scale = rows.abs().amax(dim=-1, keepdim=True)
        scale = torch.where((scale > 0) & scale.isfinite(), scale, torch.ones_like(scale))
        norms[unsafe] = vector_norm(rows / scale, dim=-1) * scale[..., 0]
    return norms


def norm_dtype(dtype: torch.dtype) -> torch.dtype:
    """The precision in which norms are computed."""
    return torch.float64 if dtype == torch.float64 else torch.float32


@cache
def _safe_range(dtype: torch.dtype) -> tuple[float, float]:
    """The bounds between which no square of a norm over- or underflows."""
    info = torch.finfo(dtype)
    return info.tiny**0.5 / info.eps, info.max**0.5
