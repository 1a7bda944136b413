"""Packed weights that outlive a call, for layers whose weights are declared constant."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from gatewise.kernels.cpu.workspace import Workspace

IntegerPrecision = Literal["int8"]
"""Products of 8-bit integers, in inference; exported models have them, too."""

Precision = Literal["int8", "bf16"]
"""Those, or products of numbers rounded to bfloat16."""


class PackedWeights:
    """A copy of the weights of one layer, and the engine's packed forms of it, by pass and layout.

    Each is written once, then only read, and never dropped, so that no call mixes old and new weights, whatever is
    written to the layer's weights. Creating it declares that the weights do not change: they are not read again.

    Attributes:
        precision: of the products of calls that use it; None for that of their tensors.
    """

    __slots__ = ("_found", "_last", "_values", "precision")

    def __init__(self, precision: Precision | None = None) -> None:
        self.precision: Precision | None = precision
        self._values: dict[torch.dtype, tuple[Tensor, ...]] = {}
        self._found: dict[tuple[int, bool, int], Workspace] = {}
        self._last: dict[tuple[int, bool], tuple[int, Workspace]] = {}

    def values(self, parameters: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The copies of a layer's parameters, made at the first call."""
        values = self.copies(parameters[0].dtype)
        if values is None:
            dense = tuple([one.detach().clone(memory_format=torch.contiguous_format) for one in parameters])
            values = self._values.setdefault(dense[0].dtype, dense)  # the copies of the first thread win
        return values

    def copies(self, dtype: torch.dtype) -> tuple[Tensor, ...] | None:
        """The copies of this dtype, if there are any."""
        return self._values.get(dtype)

    def find(self, number: int, backward: bool) -> tuple[int, Workspace] | None:
        """The layout that a pass with numbers of this many bytes used last, and its packed weights; or None."""
        return self._last.get((number, backward))

    def get(self, number: int, backward: bool, layout: int) -> Workspace | None:
        """The packed weights for a layout, or None."""
        return self._found.get((number, backward, layout))

    def keep(self, number: int, backward: bool, layout: int, memory: Workspace) -> None:
        """Store the packed weights of a call."""
        self._last[number, backward] = layout, self._found.setdefault((number, backward, layout), memory)
