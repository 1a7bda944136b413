"""What calls in training have in common that differ in nothing but the values of their tensors."""

from collections.abc import Hashable, Sequence

from torch import Tensor

from gatewise.kernels.call import Call


class Kind:
    """Calls alike but for the values of their tensors, none of which it holds.

    Arguments:
        call: one of them.

    Attributes:
        states: how many there are.
        key: equal for calls that one tape serves; None when there can be no tape.
        recorded: whether gradients are handed to a watcher.
        hands_over_states: whether states are.
        bytes: about what a tape holds: packed weights, and the products with x or the gradients of all gates.
    """

    __slots__ = ("_cell", "_rest", "bytes", "hands_over_states", "key", "recorded", "states")

    def __init__(self, call: Call) -> None:
        self._cell, self.states = call.cell, len(call.initial)
        self._rest = (call.lengths, call.reset, call.directions, call.record, call.window_of)
        self.recorded = call.record is not None
        self.hands_over_states = call.record is not None and call.record.wants_states
        (steps, batch, width), dtype = call.x.shape, call.x.dtype
        gates = max(parameter.shape[0] for parameter in call.parameters)
        numbers = sum(parameter.numel() for parameter in call.parameters) + steps * batch * gates
        self.bytes = numbers * dtype.itemsize
        self.key: Hashable = None
        if call.lengths is None and call.reset is None and call.directions != "bidirectional" and steps * batch > 0:
            hidden, all_steps = call.hidden_size, len(call.whole.x)
            self.key = (call.cell.equations, steps, batch, width, hidden, dtype, call.directions, all_steps)

    def call(self, tensors: Sequence[Tensor]) -> Call:
        """The call on these tensors, of the order of `Call.tensors`."""
        parameters = 1 + self.states
        return Call(self._cell, tensors[0], tuple(tensors[1:parameters]), tuple(tensors[parameters:]), *self._rest)
