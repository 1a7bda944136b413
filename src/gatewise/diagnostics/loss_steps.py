"""At which steps losses enter a recurrent module, as its backward pass shows it."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from gatewise.layers import Recurrent

Directions = dict[int, Tensor]


class LossSteps:
    """How large the gradients are that come from outside into what one call of a module returned.

    Filled in while the backward pass runs; a part that gets no gradient is missing.

    Attributes:
        outputs: by direction (0 forward, 1 reverse) the largest component at each step, (T, B).
        finals: by direction the largest component of the final states of all layers, (B,).
    """

    def __init__(self, layer: Recurrent, steps: int) -> None:
        self.outputs: Directions = {}
        self.finals: Directions = {}
        self._layer, self._steps = layer, steps
        self._directions = (0, 1) if layer.bidirectional else (0,)

    def follow(self, output: Any, state: Any) -> None:
        """Ask for the gradients of what `Recurrent.forward` has returned."""
        if isinstance(output, tuple) and not isinstance(output, PackedSequence):  # merge=None
            for direction, part in enumerate(output):
                self._follow_output(part, (direction,))
        else:
            self._follow_output(output, self._directions)
        for one in state if isinstance(state, tuple) else (state,):
            _when_known(one, self._add_final)

    def _follow_output(self, output: Tensor | PackedSequence, directions: tuple[int, ...]) -> None:
        beside = self._layer.merge == "concat" and len(directions) == 2
        # A hook that held the output itself would keep it, and with it the graph, alive.
        packing = output._replace(data=output.data.new_empty(0)) if isinstance(output, PackedSequence) else None

        def add(gradient: Tensor) -> None:
            sides = gradient.chunk(2, dim=-1) if beside else (gradient,) * len(directions)
            for direction, side in zip(directions, sides, strict=True):
                _add(self.outputs, direction, self._time_first(_largest(side), packing))

        _when_known(output.data if isinstance(output, PackedSequence) else output, add)

    def _time_first(self, values: Tensor, packing: PackedSequence | None) -> Tensor:
        """A number for each step of an output in its form, as (T, B)."""
        if packing is not None:
            return pad_packed_sequence(packing._replace(data=values), total_length=self._steps)[0]
        if values.dim() == 1:
            return values[:, None]
        return values.t() if self._layer.batch_first else values

    def _add_final(self, gradient: Tensor) -> None:
        size = _largest(gradient)  # (D·L, B) or (D·L,)
        size = size if size.dim() == 2 else size[:, None]
        for direction in self._directions:
            _add(self.finals, direction, size[direction :: len(self._directions)].amax(dim=0))


def _largest(gradient: Tensor) -> Tensor:
    return torch.linalg.vector_norm(gradient, torch.inf, dim=-1)


def _when_known(tensor: Tensor, take: Callable[[Tensor], None]) -> None:
    def known(gradient: Tensor | None) -> None:
        if gradient is not None:  # an output beside this one was used alone
            take(gradient.detach())

    if tensor.requires_grad:
        tensor.register_hook(known)


def _add(to: Directions, direction: int, size: Tensor) -> None:
    to[direction] = torch.maximum(to[direction], size) if direction in to else size
