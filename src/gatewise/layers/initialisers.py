"""Initial weights of recurrent layers, by scheme.

| scheme     | input weights   | recurrent weights | biases              | paper                                   |
|------------|-----------------|-------------------|---------------------|-----------------------------------------|
| torch      | uniform ±1/√H   | uniform ±1/√H     | uniform ±1/√H       | `torch.nn`: same values for a seed      |
| default    | Xavier          | orthogonal        | 0, forget gate 1    | the two below; Jozefowicz et al. 2015   |
| xavier     | Xavier          | Xavier            | 0                   | Glorot & Bengio 2010                    |
| he         | He              | He                | 0                   | He et al. 2015, arXiv:1502.01852        |
| orthogonal | orthogonal      | orthogonal        | 0                   | Saxe et al. 2013, arXiv:1312.6120       |
| identity   | normal, σ 0.001 | identity          | 0                   | Le et al. 2015, arXiv:1504.00941 (IRNN) |

Matrices are drawn gate by gate. Vectors that are no biases (peepholes) are uniform in ±1/√H in every scheme.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import init

from gatewise.equations import Cell

BIASES = ("b", "d")


def _he(block: Tensor) -> None:
    init.kaiming_uniform_(block, nonlinearity="relu")


def _small(block: Tensor) -> None:
    init.normal_(block, std=0.001)


_INPUT: dict[str, Callable[[Tensor], object]] = {
    "default": init.xavier_uniform_,
    "xavier": init.xavier_uniform_,
    "he": _he,
    "orthogonal": init.orthogonal_,
    "identity": _small,
}
_RECURRENT: dict[str, Callable[[Tensor], object]] = {
    "default": init.orthogonal_,
    "xavier": init.xavier_uniform_,
    "he": _he,
    "orthogonal": init.orthogonal_,
    "identity": init.eye_,
}
SCHEMES = ("torch", *_INPUT)


def check_scheme(scheme: str) -> None:
    """Raise a ValueError unless the scheme exists."""
    if scheme not in SCHEMES:
        raise ValueError(f"init: expected one of {', '.join(SCHEMES)}, got {scheme!r}")


@torch.no_grad()
def initialise(scheme: str, cell: Cell, group: str, tensor: Tensor, hidden_size: int) -> None:
    """Fill a group's stacked tensor.

    Arguments:
        scheme: one of `SCHEMES`.
        cell: the cell that the group belongs to.
        group: its name.
        tensor: its tensor, of shape `Cell.parameter_shape`; written in place.
        hidden_size: H.
    """
    kind = cell.shape_of(group)
    is_bias = kind == "vector" and group in BIASES
    if scheme == "torch" or (kind == "vector" and not is_bias):
        uniform_by_width(tensor, hidden_size)
        return
    # Orthogonal matrices come from a QR decomposition, which half precision lacks.
    exact = tensor if tensor.dtype in (torch.float32, torch.float64) else torch.empty_like(tensor, dtype=torch.float32)
    for gate, block in zip(cell.gates_of(group), exact.split(hidden_size), strict=True):
        if is_bias:
            block.fill_(1.0 if scheme == "default" and (group, gate) == ("b", "f") else 0.0)
        else:
            (_INPUT if kind == "input" else _RECURRENT)[scheme](block)
    if exact is not tensor:
        tensor.copy_(exact)


def uniform_by_width(tensor: Tensor, hidden_size: int) -> None:
    """Fill uniformly in ±1/√H, as `torch.nn`'s recurrent layers do."""
    bound = 1.0 / math.sqrt(hidden_size)
    init.uniform_(tensor, -bound, bound)
