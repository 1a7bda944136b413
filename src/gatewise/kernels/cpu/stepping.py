"""Single steps with gradients off: the same call of the engine, filled in at less cost than a sequence's."""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from gatewise.equations import Cell
from gatewise.kernels.cpu.execution import execute
from gatewise.kernels.cpu.packed import PackedWeights
from gatewise.kernels.cpu.program import loaded

_NO_RESET = (0,) * 6
_NOTHING = (0,) * 18  # from `saved` to `state_gradients`


class StepSizes(NamedTuple):
    """The sizes of a step: bytes of a number, B, I, H and L."""

    number: int
    batch: int
    width: int
    hidden: int
    layers: int


def step(
    cell: Cell,
    sizes: StepSizes,
    x: Tensor,
    output: Tensor,
    initial: Sequence[Tensor],
    finals: Sequence[Tensor],
    parameters: Sequence[int],
    reset: Tensor | None,
    packed: PackedWeights | None,
) -> bool:
    """One step of a stack of layers, in plain CPU tensors, dense and of one dtype.

    Arguments:
        cell: of which the engine has the program.
        sizes: of all of these.
        x: (B, I) or (I,).
        output: (B, H) or (H,), written.
        initial: per state (L, B, H) or (L, H); none at all are zeros.
        finals: the same after the step, written.
        parameters: the words of `weight_words`.
        reset: (B,) or () bool, or None.
        packed: where packed weights are held; or None.

    Returns:
        Whether it was done; not when some tensor is smaller than its shape says.
    """
    number, batch, width, hidden, layers = sizes
    units = batch * hidden
    every = layers * units
    states: list[int] = []
    if initial:
        for before, after in zip(initial, finals, strict=True):
            if not (address := before.data_ptr()):
                return False
            states += (address, every, after.data_ptr(), every, 0, 0, 0, 0)
    else:
        for after in finals:
            states += (0, 0, after.data_ptr(), every, 0, 0, 0, 0)
    inputs = batch * width
    flags = _NO_RESET if reset is None else (0, 0, reset.data_ptr(), batch, batch, 1)
    buffers = (x.data_ptr(), inputs, inputs, width, output.data_ptr(), units, units, hidden, *flags, *_NOTHING)
    shape = (number, 1, batch, width, hidden, 1, layers)
    return execute(False, loaded(cell), shape, False, 0, buffers, states, parameters, packed)[0] == 0
