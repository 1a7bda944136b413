"""The steps at which losses enter a recurrent module, from the gradients of its outputs."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from gatewise.layers import Recurrent
from gatewise.layers.nested import is_jagged, padded, rows_of

Directions = dict[int, Tensor]


class LossSteps:
    """The sizes of the upstream gradients of the values one call of a module returned.

    Filled in by the backward pass; values without a gradient are missing.

    Attributes:
        outputs: the largest component at each step, (T, B), by direction (0 forward, 1 reverse).
        finals: the largest component of the final states of all layers, (B,), by direction.
    """

    def __init__(self, layer: Recurrent, steps: int, output_steps: Tensor | None = None) -> None:
        self.outputs: Directions = {}
        self.finals: Directions = {}
        self._layer, self._steps, self._output_steps = layer, steps, output_steps
        self._directions = (0, 1) if layer.bidirectional else (0,)

    def observe(self, output: Any, state: Any, states: Any = ()) -> None:
        """Register hooks on the values that `Recurrent.forward` returned."""
        if isinstance(output, tuple) and not isinstance(output, PackedSequence):  # merge=None
            for direction, part in enumerate(output):
                self._observe_sequence(part, (direction,))
        else:
            self._observe_sequence(output, self._directions, concatenated=self._layer.merge == "concat")
        sequences: Any = (states,) if isinstance(states, PackedSequence | Tensor) else states
        for one in sequences:
            self._observe_sequence(one, self._directions)
        for one in state if isinstance(state, tuple) else (state,):
            _on_gradient(one, self._add_final)

    def _observe_sequence(
        self, output: Tensor | PackedSequence, directions: tuple[int, ...], *, concatenated: bool = True
    ) -> None:
        # A hook that referenced the output would keep it, and thereby the graph, alive.
        packing = output._replace(data=output.data.new_empty(0)) if isinstance(output, PackedSequence) else None

        def add(gradient: Tensor) -> None:
            jagged = is_jagged(gradient)
            if jagged:
                rows = rows_of("gradient", gradient, "I")
                valid = torch.arange(self._steps, device=gradient.device)[:, None] < rows.lengths
                gradient = torch.where(valid[..., None], padded(rows), 0.0)
            count = len(directions)
            sides = gradient.chunk(count, dim=-1) if concatenated else (gradient,) * count
            for direction, side in zip(directions, sides, strict=True):
                sizes = _largest(side) if jagged else self._time_first(_largest(side), packing)
                if self._output_steps is not None:
                    steps = sizes.new_zeros(self._steps + 2, sizes.shape[1])
                    sizes = steps.scatter_reduce(0, self._output_steps[direction], sizes, "amax")[: self._steps]
                _add(self.outputs, direction, sizes)

        _on_gradient(output.data if isinstance(output, PackedSequence) else output, add)

    def _time_first(self, values: Tensor, packing: PackedSequence | None) -> Tensor:
        """One value per step of an output, in the layout of the output, as (T, B)."""
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


def _on_gradient(tensor: Tensor, take: Callable[[Tensor], None]) -> None:
    def known(gradient: Tensor | None) -> None:
        if gradient is not None:  # only another output was used
            take(gradient.detach())

    if tensor.requires_grad:
        tensor.register_hook(known)


def _add(to: Directions, direction: int, size: Tensor) -> None:
    to[direction] = torch.maximum(to[direction], size) if direction in to else size
