"""Packed weights that outlive a call: for a layer whose weights are declared not to change meanwhile."""

import numpy


class PackedWeights:
    """The packed weights of one layer, by pass and layout; each is written once and then only read.

    Whoever holds it declares that the weights do not change: nothing here looks at them again.
    """

    __slots__ = ("_found", "_last")

    def __init__(self) -> None:
        self._found: dict[tuple[bool, int], numpy.ndarray] = {}
        self._last: dict[bool, int] = {}

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
