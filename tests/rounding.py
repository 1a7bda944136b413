"""Random rounding: what the rounding of single operations does to a result, sampled.

A computation in double precision in which the result of every operation, and each term of a sum, is off by a random
part of the unit in which another precision rounds (Monte Carlo arithmetic, Parker 1997). Its distance from the exact
result is that of some computation in that precision, wherever errors are magnified on the way: in sums that cancel, and
by the deviation that a norm divides by.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from gatewise.kernels import execute

# Operations that compute nothing; views are known by their schema.
_EXACT = ("clone", "copy_", "_to_copy", "stack", "cat", "where", "zeros_like", "new_zeros", "fill_", "index", "zero_")
# Those that add up, in which terms may cancel: what they read is rounded too.
_SUMS = ("sum", "mean", "mm", "mv", "addmm", "addmv", "dot", "bmm", "var", "std")
_POOL = 1 << 16


class _RandomRounding(TorchDispatchMode):
    def __init__(self, unit: float, seed: int) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(seed)
        self._factors = 1 + unit * (2 * torch.rand(_POOL, generator=draw, dtype=torch.float64) - 1)
        self._random = random.Random(seed)
        self._kinds: dict[Any, tuple[bool, bool]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        exact, adds = self._kinds.get(func) or self._kinds.setdefault(func, _kind(func))
        if adds:
            args = tree_map_only(Tensor, self._rounded, args)
        result = func(*args, **(kwargs or {}))
        if exact:
            return result
        if result is args[0]:
            return result.copy_(self._rounded(result))
        return self._rounded(result) if isinstance(result, Tensor) else tree_map_only(Tensor, self._rounded, result)

    def _rounded(self, value: Tensor) -> Tensor:
        count = value.numel()
        if value.dtype != torch.float64 or count == 0:
            return value
        first = self._random.randrange(_POOL - count)
        return value * self._factors[first : first + count].view(value.shape)


def _kind(func: Any) -> tuple[bool, bool]:
    """Whether an operation computes nothing, and whether it adds up."""
    name, aliases = func._schema.name.removeprefix("aten::"), [one.alias_info for one in func._schema.returns]
    view = any(one is not None and not one.is_write for one in aliases)
    return view or name in _EXACT, name in _SUMS


@contextmanager
def random_rounding(dtype: torch.dtype, seed: int) -> Iterator[None]:
    """Round every operation in double precision, forward and backward, at random in the unit of ``dtype``."""
    # A dispatch mode is taken for a trace, of operators.
    with mock.patch.object(execute, "is_traced", return_value=False), _RandomRounding(torch.finfo(dtype).eps / 2, seed):
        yield
