"""How far a step of an optimiser moved parameters, for observers."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.linalg import vector_norm

from gatewise.kernels.cpu import update_norms as cpu
from gatewise.kernels.norms import norm_dtype


def change_norms(gradients: Sequence[Tensor], after: Sequence[Tensor], before: Sequence[Tensor]) -> Tensor:
    """What a step of an optimiser did to parameters.

    Args:
        gradients: of each; sparse ones too.
        after, before: their values, of any shapes, dtypes and devices.

    Returns:
        (3, P) norms of the gradients, of the changes and of the values before; on the device of the first.
    """
    if (by_engine := cpu.change_norms(gradients, after, before)) is not None:
        return by_engine
    changes = [new - old for new, old in zip(after, before, strict=True)]
    norms = [vector_norm(_values(one), dtype=norm_dtype(one.dtype)) for one in (*gradients, *changes, *before)]
    return torch.stack([one.to(norms[0].device) for one in norms]).view(3, -1)


def _values(tensor: Tensor) -> Tensor:
    return tensor.coalesce().values() if tensor.layout is torch.sparse_coo else tensor
