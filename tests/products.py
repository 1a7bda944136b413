"""Products of numbers rounded to bfloat16, imitated in any computation of torch, forward and backward."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from gatewise.kernels import execute

_PRODUCTS = {"mm": 0, "bmm": 0, "mv": 0, "dot": 0, "addmm": 1, "addmv": 1}


class _Rounded(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name.removeprefix("aten::")
        first = 0 if name == "mul" and _is_outer(*args) else _PRODUCTS.get(name)
        if first is not None:
            args = tuple(
                one.bfloat16().to(one.dtype) if index >= first and isinstance(one, Tensor) else one
                for index, one in enumerate(args)
            )
        return func(*args, **(kwargs or {}))


def _is_outer(left: Any, right: Any) -> bool:
    """Whether the factors are those of `torch.outer`, the gradient of the matrix times a vector."""
    vectors = isinstance(left, Tensor) and isinstance(right, Tensor) and left.dim() == 2 and right.dim() == 1
    return vectors and left.shape[1] == 1


@contextmanager
def rounded_products() -> Iterator[None]:
    """Round both factors of every product of matrices, also in the backward pass."""
    # A dispatch mode is taken for a trace, of operators.
    with mock.patch.object(execute, "is_traced", return_value=False), _Rounded():
        yield
