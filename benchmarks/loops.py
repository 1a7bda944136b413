"""The best loop over time that can be written in Python with torch's eager operations, for any cell."""

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor

from benchmarks.eager_codegen import generate
from gatewise.equations import Cell


@lru_cache(maxsize=32)
def loop_for(cell: Cell) -> Callable[..., Tensor]:
    """From x (T, B, I) and the weights, in the order of the cell's groups, to the output (T, B, H)."""
    names: dict[str, Callable[..., Tensor]] = {}
    exec(generate(cell), {"torch": torch}, names)
    return names["loop"]
