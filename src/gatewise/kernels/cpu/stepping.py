"""Single steps with gradients off: the same call of the engine, filled in at less cost than a sequence's."""

from collections.abc import Sequence

from torch import Tensor, empty_like

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
    weights: Sequence[Sequence[Tensor]],
    reset: Tensor | None,
    packed: Sequence[PackedWeights] | None,
) -> bool:
    """One step of a stack of layers, in plain CPU tensors, dense and of one dtype.

    Arguments:
        cell: its program.
        x: (B, I) or (I,).
        output: (B, H) or (H,), written.
        initial: per state (L, B, H) or (L, H); none at all are zeros.
        finals: the same after the step, written.
        weights: of each layer, per group of the cell.
        reset: (B,) or () bool, or None.
        packed: of each layer, where packed weights are held; or None.

    Returns:
        Whether it was done; not when some tensor is smaller than its shape says.
    """
    width, hidden, size = x.shape[-1], output.shape[-1], x.element_size()
    batch = x.shape[0] if x.dim() == 2 else 1
    steps = (0, 0, 0, 0, 0, 0) if reset is None else (0, 0, reset.data_ptr(), batch, batch, 1)
    count, source, source_count = len(weights), x.data_ptr(), batch * width
    units = batch * hidden
    after = [one.data_ptr() for one in finals]
    before = [one.data_ptr() for one in initial] or [0] * len(after)
    last, other = output.data_ptr(), 0
    if count > 1:
        between = empty_like(output)
        other = between.data_ptr()
    for at, of_layer in enumerate(weights):
        to = last if at == count - 1 else other
        states: list[int] = []
        for start, end in zip(before, after, strict=True):
            offset = at * units * size
            states += (
                (start + offset, units, end + offset, units, 0, 0, 0, 0)
                if start
                else (0, 0, end + offset, units, 0, 0, 0, 0)
            )
        parameters: list[int] = []
        for one in of_layer:
            parameters += (one.data_ptr(), one.numel(), 0, 0)
        buffers = (source, source_count, source_count, width, to, units, units, hidden, *steps, *_NOTHING)
        shape = (size, 1, batch, width, hidden, 1)
        code, _ = execute(
            False, cell, shape, False, 0, buffers, states, parameters, None if packed is None else packed[at]
        )
        if code:
            return False
        source, source_count, width = after[0] + at * units * size, units, hidden
    return True
