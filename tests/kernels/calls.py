"""Calls to try the kernels on: small, in float64, with everything that a layer can ask for."""

from collections.abc import Sequence

import torch
from torch import Tensor

from gatewise.equations import Cell
from gatewise.kernels import Call, Directions
from gatewise.kernels.gradient import run_differentiable
from gatewise.kernels.masks import Masks, rates_of
from tests.agreement import ALL_CELLS, heads_of, possible, projection_of
from tests.compiler.random_cells import MEAN
from tests.user_cells import masked

DIRECTIONS: tuple[Directions, ...] = ("forward", "reverse", "bidirectional")


def call_of(
    cell: str | Cell,
    directions: Directions = "forward",
    *,
    steps: int = 4,
    batch: int = 3,
    input_size: int = 2,
    hidden_size: int = 2,
    lengths: Sequence[int] | None = None,
    reset: bool = False,
    dtype: torch.dtype = torch.float64,
    device: str = "cpu",
    requires_grad: bool = True,
    sequences: bool = False,
    seed: int = 0,
    heads: int | None = None,
) -> Call:
    """A call on random values of a seed; ``lengths`` for the rows, ``reset`` for some boundaries."""
    cell = {**ALL_CELLS, "masked": masked}[cell] if isinstance(cell, str) else cell
    draw = torch.Generator().manual_seed(seed)
    count, projection = 2 if directions == "bidirectional" else 1, projection_of(cell, hidden_size)
    widths = [projection if width == "P" else hidden_size for width in cell.widths]

    def normal(*shape: int) -> Tensor:
        return 0.8 * torch.randn(shape, generator=draw, dtype=torch.float64)

    def leaf(*shape: int) -> Tensor:
        return as_leaf(normal(*shape))

    def as_leaf(value: Tensor) -> Tensor:
        return value.to(device, dtype).requires_grad_(requires_grad)

    def parameter(group: str) -> Tensor:
        n = heads_of(cell, hidden_size) if heads is None else heads
        value = leaf(*cell.parameter_shape(group, input_size, hidden_size, projection, n))
        return torch.full_like(value, 1 / hidden_size, requires_grad=requires_grad) if group == MEAN else value

    flags = torch.rand(steps, batch, generator=draw) < 0.3
    # Whatever was drawn: a boundary before the first step, and one inside the longest row.
    flags[0, -1:] = flags[steps // 2, :1] = True
    return Call(
        cell,
        leaf(steps, batch, input_size),
        tuple(map(as_leaf, possible(cell, [normal(count, batch, width) for width in widths]))),
        tuple(parameter(group) for _ in range(count) for group in cell.groups),
        None if lengths is None else torch.tensor(lengths, dtype=torch.int64, device=device),
        flags.to(device) if reset else None,
        directions,
        masks=masks_for(cell, seed) if cell.masks else None,
        sequences=sequences,
    )


def masks_for(cell: Cell, seed: int) -> Masks:
    """Masks of a call in training, of a layer above others, some steps after the start."""
    rates = rates_of(cell.masks, dict.fromkeys([mask.name for mask in cell.masks], 0.4), training=True)
    return Masks(torch.tensor(1_234_567_890_123_456_789 + seed), rates, stream=6, step=3)


def flat(results: tuple[Tensor, Sequence[Tensor]]) -> tuple[Tensor, ...]:
    """Output and final states as one tuple."""
    output, finals = results
    return (output, *finals)


def upstream_of(values: Sequence[Tensor], seed: int = 1) -> tuple[Tensor, ...]:
    """A random gradient for each of some values."""
    draw = torch.Generator().manual_seed(seed)
    return tuple(
        torch.randn(value.shape, generator=draw, dtype=torch.float64).to(value.device, value.dtype) for value in values
    )


def on_engine(call: Call) -> tuple[Tensor, tuple[Tensor, ...]]:
    """A call run by the fused CPU kernels, to be differentiated."""
    return run_differentiable(call, "cpu")


def on_reference(call: Call) -> tuple[Tensor, tuple[Tensor, ...]]:
    """A call run by the reference, to be differentiated."""
    return run_differentiable(call, "reference")
