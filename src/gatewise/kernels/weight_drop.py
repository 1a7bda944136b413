"""Weights of recurrent products dropped for a call (DropConnect of Merity et al. 2018, arXiv:1708.02182).

Their mask is that of units, with the rows and columns of a weight for rows and units: a function of seed, layer,
direction, parameter and the step with which a call begins. The backward pass draws it again.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple
from zlib import crc32

import torch
from torch import Tensor

from gatewise.kernels.call import Call
from gatewise.kernels.cpu import buffer_pool
from gatewise.kernels.cpu.dense import dense
from gatewise.kernels.cpu.library import SUFFIX, engine, why_missing
from gatewise.kernels.cpu.parallelism import threads
from gatewise.kernels.differentiable import batched
from gatewise.kernels.masks import factors, random_words
from gatewise.kernels.plain import check_allocated, is_plain

# Elements of a weight from which a second thread is worthwhile.
WORTH_SHARING = 1 << 17


class MatrixMask(NamedTuple):
    """What determines a mask of a matrix.

    Attributes:
        seed: () int64.
        stream, step: those of the call, in the direction; see `Masks`.
        name: of the parameter.
        p: the probability that an element is dropped.
    """

    seed: Tensor
    stream: int
    step: int
    name: str
    p: float

    @property
    def key(self) -> int:
        """The number that stands for the name in the generator's counter; no name of a mask of units has a space."""
        return _key_of(self.name)

    @property
    def rate(self) -> tuple[int, float]:
        """The threshold of random words, and the factor of what is kept."""
        return round(self.p * 2**32), 1 / (1 - self.p) if self.p < 1 else 0.0

    def of(self, matrix: Tensor) -> Tensor:
        """The factor of each element of a matrix, of its dtype, in torch's operations."""
        rows, columns = matrix.shape
        words = random_words(self.seed, self.stream, self.step, self.key, rows, columns, matrix.device)
        return factors(words, *self.rate, matrix.dtype)


def with_dropped_weights(call: Call, drop: Callable[[Tensor, MatrixMask], Tensor]) -> Call:
    """A call whose masks say that weights are dropped, with those that it runs with.

    Args:
        call: the call.
        drop: gives the product of a weight and its mask.
    """
    masks, groups = call.masks, call.cell.groups
    assert masks is not None
    assert masks.seed is not None
    parameters = list(call.parameters)
    for index, weight in enumerate(parameters):
        direction, group = divmod(index, len(groups))
        if call.cell.shape_of(groups[group]) == "recurrent":
            location = masks.stream + direction, masks.step, groups[group]
            parameters[index] = drop(weight, MatrixMask(masks.seed, *location, masks.weight_drop))
    return replace(call, parameters=tuple(parameters), masks=replace(masks, weight_drop=0.0))


def _key_of(name: str) -> int:
    return crc32(f"weight {name}".encode())


# As torch.compiler.assume_constant_result, which would import the compiler for everyone.
setattr(_key_of, "_dynamo_marked_constant", True)  # noqa: B010


def followed(weight: Tensor, mask: MatrixMask) -> Tensor:
    """A weight with some dropped, in operations that transforms and traces can follow."""
    return weight * mask.of(weight)


def dropped(weight: Tensor, mask: MatrixMask) -> Tensor:
    """A weight with some dropped, by the engine where it can."""
    if torch.is_grad_enabled() and weight.requires_grad:
        return _apply(weight, mask)
    return product(weight, mask)


def product(matrix: Tensor, mask: MatrixMask) -> Tensor:
    """The product of a matrix and a mask: by the engine for its dtypes, with the bits of torch's operations.

    Raises:
        ValueError: for a matrix without memory.
    """
    if not matrix.is_cpu or matrix.dtype not in SUFFIX or matrix.layout is not torch.strided or why_missing():
        return followed(matrix, mask)
    if not (is_plain(matrix) and matrix.is_contiguous()):
        check_allocated("a recurrent weight", matrix)
        matrix = dense(matrix)
    to = buffer_pool.empty(tuple(matrix.shape), matrix.dtype)
    slices = 1 if matrix.numel() < WORTH_SHARING else threads()
    engine().mask((int(mask.seed), mask.stream, mask.key, mask.step), mask.rate, matrix, to, slices)
    return to


class Dropped(torch.autograd.Function):
    """The product of a weight and its mask, which is drawn again for the gradient."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, mask: MatrixMask) -> Tensor:
        """The product."""
        ctx.mask = mask
        return product(weight, mask)

    @staticmethod
    def backward(ctx: Any, *upstreams: Tensor) -> tuple[Tensor, None]:
        """The gradient of the weight."""
        (upstream,) = upstreams
        follow = torch.is_grad_enabled() or batched((upstream,))
        return (followed if follow else product)(upstream, ctx.mask), None


# Without the support of `torch.autograd.Function` for torch.func transforms, which never reach this code.
_apply: Callable[..., Tensor] = super(torch.autograd.Function, Dropped).apply  # pyright: ignore[reportAttributeAccessIssue]
