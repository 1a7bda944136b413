"""What every contender is given at a case: the same arguments and the same weights."""

from typing import NamedTuple

import torch
from torch import Tensor

from benchmarks.cases import Case
from gatewise.kernels import BackendName
from gatewise.layers import Recurrent


class Inputs(NamedTuple):
    """Arguments of a case.

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
        """Steps summed over rows, without padding."""
        steps, batch, _ = self.x.shape
        return steps * batch if self.lengths is None else int(self.lengths.sum())


def make_inputs(case: Case) -> Inputs:
    """The arguments of a case, always the same ones."""
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(case.T, case.B, case.H, generator=draw)
    gradient = torch.randn(case.T, case.B, case.directions * case.H, generator=draw)
    lengths = torch.randint(1, case.T + 1, (case.B,), generator=draw) if case.ragged else None
    reset = torch.rand(case.T, case.B, generator=draw) < case.reset if case.reset else None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        weights = layer_of(case).state_dict()
    return Inputs(x, gradient, lengths, reset, weights)


def layer_of(case: Case, backend: BackendName = "auto") -> Recurrent:
    """Our layer for a case, with fresh weights."""
    layer = Recurrent(case.definition, case.H, case.H, bidirectional=case.bidirectional, init="torch", backend=backend)
    return layer.train(case.mode == "training")
