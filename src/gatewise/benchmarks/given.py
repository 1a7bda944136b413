"""What every side is given at a point: the same arguments and the same weights."""

from typing import NamedTuple

import torch
from torch import Tensor

from gatewise.benchmarks.points import Point
from gatewise.layers import Recurrent


class Given(NamedTuple):
    """Arguments of a point.

    Attributes:
        x: (T, B, H).
        gradient: of the output, (T, B, D·H).
        lengths: (B,) or None.
        reset: (T, B) bool or None.
        weights: by the layer's parameter names.
    """

    x: Tensor
    gradient: Tensor
    lengths: Tensor | None
    reset: Tensor | None
    weights: dict[str, Tensor]

    @property
    def row_steps(self) -> int:
        """Steps summed over rows, padding left out."""
        steps, batch, _ = self.x.shape
        return steps * batch if self.lengths is None else int(self.lengths.sum())


def given(point: Point) -> Given:
    """The arguments of a point, always the same ones."""
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(point.T, point.B, point.H, generator=draw)
    gradient = torch.randn(point.T, point.B, point.directions * point.H, generator=draw)
    lengths = torch.randint(1, point.T + 1, (point.B,), generator=draw) if point.ragged else None
    reset = torch.rand(point.T, point.B, generator=draw) < point.reset if point.reset else None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        weights = layer_of(point).state_dict()
    return Given(x, gradient, lengths, reset, weights)


def layer_of(point: Point, backend: str = "auto") -> Recurrent:
    """Our layer for a point, with fresh weights."""
    layer = Recurrent(
        point.definition, point.H, point.H, bidirectional=point.bidirectional, init="torch", backend=backend
    )
    return layer.train(point.mode == "training")
