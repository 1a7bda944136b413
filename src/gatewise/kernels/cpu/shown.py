"""What a watcher is told of the loop back through time: norms of the gradients of states, and these if asked for."""

from typing import NamedTuple

import torch
from torch import Tensor

from gatewise.kernels.call import Call
from gatewise.kernels.cpu import jobs, memory
from gatewise.kernels.cpu.jobs import Rows
from gatewise.kernels.cpu.order import Order
from gatewise.kernels.cpu.split import Split


class Shown(NamedTuple):
    """Where the loop puts the gradient of every state after each step, or only its norm.

    Attributes:
        gradients: (N, states, H); or, for the loop's own use, those of one step, (B, states, H).
        whole: whether they are those of all steps.
        norms: float64, over units, (N, states); where threads share out units the sums of squares of each,
            (slices, N, states); None where squares could be lost.
    """

    gradients: Tensor
    whole: bool
    norms: Tensor | None

    @classmethod
    def room_for(cls, call: Call, way: Order, shared: Split) -> "Shown | None":
        """For one direction of a call; None when nobody watches."""
        if call.record is None:
            return None
        states, hidden = len(call.cell.states), call.hidden_size
        alone = way.dtype == torch.float32  # whose squares, in double precision, are never lost
        whole = call.record.wants_values or not alone
        gradients = memory.empty((way.places if whole else way.rows, states, hidden), way.dtype)
        shape = (shared.slices, way.places, states) if shared.units else (way.places, states)
        return cls(gradients, whole, torch.empty(shape, dtype=torch.float64, device="cpu") if alone else None)

    @property
    def rows(self) -> Rows:
        """The gradients' place in the loop."""
        kind = jobs.SEQUENCE if self.whole else jobs.PER_ROW
        return kind, self.gradients.data_ptr(), 0, self.gradients.stride(0), 0

    def tell(self, call: Call, index: Tensor | None) -> None:
        """Tell the watchers of a call; ``index`` as in `recording.Rows`."""
        assert call.record is not None
        if self.norms is None:
            call.record.gradients(None, self.gradients, index)
        else:
            norms = self.norms.clone() if self.norms.dim() == 2 else self.norms.sum(dim=0).sqrt_()
            call.record.norms(None, norms, self.gradients if self.whole else None, index)
