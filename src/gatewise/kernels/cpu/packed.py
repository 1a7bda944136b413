"""Weights that outlive a call: for a layer whose weights are declared not to change meanwhile."""

from collections.abc import Sequence

import torch
from torch import Tensor

from gatewise.kernels.cpu.workspace import Workspace


def weight_words(weights: Sequence[Tensor]) -> list[int]:
    """Address and number of elements of dense weights, as a call holds them, without gradients."""
    words: list[int] = []
    for one in weights:
        words += (one.data_ptr(), one.numel(), 0, 0)
    return words


class PackedWeights:
    """A copy of the weights of one layer, and what the engine packs of it, by pass and layout.

    Each is written once, then only read, and never dropped, so that whatever is written to the layer's own weights, no
    call mixes old weights with new ones. Whoever holds this declares that the weights do not change: their values are
    not looked at again.
    """

    __slots__ = ("_found", "_last", "_values", "_words")

    def __init__(self) -> None:
        self._values: dict[torch.dtype, list[Tensor]] = {}
        self._words: dict[torch.dtype, list[int]] = {}
        self._found: dict[tuple[int, bool, int], Workspace] = {}
        self._last: dict[tuple[int, bool], int] = {}

    def values(self, parameters: Sequence[Tensor]) -> list[Tensor]:
        """The copies of a layer's dense parameters, made at the first call."""
        dtype = parameters[0].dtype
        if (values := self._values.get(dtype)) is None:
            # Of two threads the first one's copies stay.
            values = self._values.setdefault(dtype, [one.detach().clone() for one in parameters])
            self._words[dtype] = weight_words(values)
        return values

    def words(self, dtype: torch.dtype) -> list[int] | None:
        """`weight_words` of the copies of this dtype, if there are any."""
        return self._words.get(dtype)

    def last_layout(self, number: int, backward: bool) -> int:
        """The layout that a pass of numbers of so many bytes used last; −1 for none."""
        return self._last.get((number, backward), -1)

    def get(self, number: int, backward: bool, layout: int) -> Workspace | None:
        """What was packed for a layout, or None."""
        return self._found.get((number, backward, layout))

    def keep(self, number: int, backward: bool, layout: int, memory: Workspace) -> None:
        """Hold what a call has packed."""
        self._last[number, backward] = layout
        self._found.setdefault((number, backward, layout), memory)
