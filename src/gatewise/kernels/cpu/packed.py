"""Weights that outlive a call: for a layer whose weights are declared not to change meanwhile."""

from collections.abc import Sequence

import numpy
from torch import Tensor


class PackedWeights:
    """A copy of the weights of one layer, and what the engine packs of it, by pass and layout.

    Each is written once and then only read, so that whatever is written to the layer's own weights, no call mixes old
    weights with new ones. Whoever holds this declares that the weights do not change: their values are not looked at
    again.
    """

    __slots__ = ("_found", "_last", "_values")

    def __init__(self) -> None:
        self._values: list[Tensor] = []
        self._found: dict[tuple[bool, int], numpy.ndarray] = {}
        self._last: dict[bool, int] = {}

    def values(self, parameters: Sequence[Tensor]) -> Sequence[Tensor]:
        """The copies of dense parameters, made at the first call; anew when there are others of another form."""
        values = self._values
        if len(values) != len(parameters) or any(
            own.dtype is not one.dtype or own.shape != one.shape for own, one in zip(values, parameters, strict=True)
        ):
            values = self._values = [one.detach().clone() for one in parameters]
            self._found, self._last = {}, {}
        return values

    def last_layout(self, backward: bool) -> int:
        """The layout that a pass used last; −1 for none."""
        return self._last.get(backward, -1)

    def get(self, backward: bool, layout: int) -> numpy.ndarray | None:
        """What was packed for a layout, or None."""
        return self._found.get((backward, layout))

    def keep(self, backward: bool, layout: int, memory: numpy.ndarray) -> None:
        """Hold what a call has packed."""
        self._found[backward, layout] = memory
        self._last[backward] = layout
