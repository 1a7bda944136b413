"""What calls in training have in common that differ in nothing but the values of their tensors."""

from collections.abc import Hashable, Sequence

from torch import Tensor

from gatewise.kernels.call import Call, Directions
from gatewise.kernels.recording import Record


class Kind:
    """Calls alike but for the values of their tensors, none of which it holds.

    Arguments:
        call: one of them.

    Attributes:
        states: how many there are.
        groups: how many parameters of a direction.
        key: equal for calls that one tape serves; None when there can be no tape.
        bytes: about what a tape holds: packed weights, and the products with x or the gradients of all gates.
    """

    __slots__ = ("_cell", "_of_steps", "_record", "_window_of", "bytes", "groups", "key", "states")

    def __init__(self, call: Call) -> None:
        self._cell, self.states, self.groups = call.cell, len(call.initial), len(call.cell.groups)
        self._record = call.record
        self._of_steps: tuple[Tensor | None, Tensor | None, Directions] = call.lengths, call.reset, call.directions
        self._window_of = call.window_of
        (steps, batch, width), dtype = call.x.shape, call.x.dtype
        gates = call.direction_count * max(parameter.shape[0] for parameter in call.parameters)
        numbers = sum(parameter.numel() for parameter in call.parameters) + steps * batch * gates
        self.bytes = numbers * dtype.itemsize
        self.key: Hashable = None
        if call.lengths is None and call.reset is None and steps * batch > 0:
            hidden, all_steps = call.hidden_size, len(call.whole.x)
            self.key = (call.cell.equations, steps, batch, width, hidden, dtype, call.directions, all_steps)

    def call(self, tensors: Sequence[Tensor]) -> Call:
        """The call on these tensors, of the order of `Call.tensors`."""
        initial, parameters = tuple(tensors[1 : 1 + self.states]), tuple(tensors[1 + self.states :])
        return Call(self._cell, tensors[0], initial, parameters, *self._of_steps, self._record, self._window_of)

    def with_record(self, record: Record) -> "Kind":
        """Those that are to be written down there, and for which the same tapes serve."""
        kind = Kind.__new__(Kind)
        for name in Kind.__slots__:  # what `copy` does, in a third of the time
            setattr(kind, name, getattr(self, name))
        kind._record = record
        return kind

    @property
    def cell_name(self) -> str:
        """The cell's name."""
        return self._cell.name

    @property
    def recorded(self) -> bool:
        """Whether norms of gradients are handed to a watcher."""
        return self._record is not None

    @property
    def hands_over_values(self) -> bool:
        """Whether states and gradients are."""
        return self._record is not None and self._record.wants_values
