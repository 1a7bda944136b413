"""Single steps with gradients off: the same call of the engine, filled in at less cost than a sequence's."""

from collections.abc import Sequence

from torch import Tensor

from gatewise.kernels.cpu.execution import execute
from gatewise.kernels.cpu.packed import PackedWeights
from gatewise.kernels.cpu.program import Loaded

_NOTHING = (0,) * 18  # from `saved` to `state_gradients`


def step(
    cell: Loaded,
    x: Tensor,
    output: Tensor,
    initial: Sequence[Tensor],
    finals: Sequence[Tensor],
    layers: int,
    weights: Sequence[Tensor],
    reset: Tensor | None,
    packed: PackedWeights | None,
) -> bool:
    """One step of a stack of layers, in plain CPU tensors, dense and of one dtype.

    Arguments:
        cell: its program.
        x: (B, I) or (I,).
        output: (B, H) or (H,), written.
        initial: per state (L, B, H) or (L, H); none at all are zeros.
        finals: the same after the step, written.
        layers: L.
        weights: of each layer, per group of the cell.
        reset: (B,) or () bool, or None.
        packed: where packed weights are held; or None.

    Returns:
        Whether it was done; not when some tensor is smaller than its shape says.
    """
    width, hidden, size = x.shape[-1], output.shape[-1], x.element_size()
    batch = x.shape[0] if x.dim() == 2 else 1
    steps = (0, 0, 0, 0, 0, 0) if reset is None else (0, 0, reset.data_ptr(), batch, batch, 1)
    units = batch * hidden
    every = layers * units
    states: list[int] = []
    if initial:
        for before, after in zip(initial, finals, strict=True):
            states += (before.data_ptr(), every, after.data_ptr(), every, 0, 0, 0, 0)
    else:
        for after in finals:
            states += (0, 0, after.data_ptr(), every, 0, 0, 0, 0)
    parameters: list[int] = []
    for one in weights:
        parameters += (one.data_ptr(), one.numel(), 0, 0)
    buffers = (
        x.data_ptr(),
        batch * width,
        batch * width,
        width,
        output.data_ptr(),
        units,
        units,
        hidden,
        *steps,
        *_NOTHING,
    )
    shape = (size, 1, batch, width, hidden, 1, layers)
    code, _ = execute(False, cell, shape, False, 0, buffers, states, parameters, packed)
    return code == 0
