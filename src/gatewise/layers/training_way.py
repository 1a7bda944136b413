"""A layer's short way in training: straight to the fused kernels when a call is like those before.

As with the short way of `short_way`, whatever is unusual is left to the long way, which computes the same bits.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, is_autocast_enabled, is_grad_enabled
from torch.nn import functional

from gatewise.kernels import Call, Choice, Kind, backend_for, run_kind
from gatewise.kernels.plain import is_plain
from gatewise.kernels.recording import record_of
from gatewise.layers.inputs import State
from gatewise.layers.short_way import BACKENDS, PLAIN, fits, nothing_between

if TYPE_CHECKING:
    from gatewise.layers.recurrent import Recurrent

# Shapes of input of which it is known whether there is a short way.
MOST_SHAPES = 32


class TrainingWay:
    """The short way in training of a layer for inputs of one shape.

    Arguments:
        layer: whose.
        calls: of the layers, on tensors of which no value is looked at.
        choice: the backend that runs them, and why.
    """

    __slots__ = ("_choice", "_directions", "_dtype", "_initial", "_kinds", "_several", "_weights", "backend")

    def __init__(self, layer: "Recurrent", calls: Sequence[Call], choice: Choice) -> None:
        self._choice, self.backend, self._dtype = choice, layer.backend, calls[0].x.dtype
        self._kinds = [Kind(call) for call in calls]
        self._weights = [
            list(zip(names, shapes, strict=True)) for names, shapes in zip(layer._names, layer._shapes, strict=True)
        ]
        self._directions, rows, hidden = calls[0].initial[0].shape
        # Never written to.
        zeros = torch.zeros((len(calls) * self._directions, rows, hidden), dtype=self._dtype, device="cpu")
        self._initial = (zeros,) * len(layer.cell.states)
        self._several = len(layer.cell.states) > 1

    def sequence(self, layer: "Recurrent", x: Tensor, state: State | None) -> tuple[Tensor, State] | None:
        """Output and state, as `Recurrent.forward` returns them; x is (T, B, I)."""
        dtype = self._dtype
        initial: Any = self._initial
        if state is not None:
            initial = state if self._several else (state,)
            if not fits(initial, len(self._initial), self._initial[0].shape, dtype):
                return None
        if x.dtype is not dtype or not x.is_cpu or not is_plain(x):
            return None
        find = layer._parameters.get
        weights: list[list[Tensor]] = []
        wanted = x.requires_grad or any(one.requires_grad for one in initial)
        for named in self._weights:
            own: list[Tensor] = []
            for name, shape in named:
                one = find(name)
                if (
                    one is None
                    or type(one) not in PLAIN
                    or one.dtype is not dtype
                    or one.shape != shape
                    or not one.is_cpu
                    or not is_plain(one)
                ):
                    return None
                wanted = wanted or one.requires_grad
                own.append(one)
            weights.append(own)
        if not wanted:
            return None
        if len(weights) == 1:
            x, *finals = self._run(layer, 0, x, *initial, *weights[0])
            return x, tuple(finals) if self._several else finals[0]
        ends: list[Sequence[Tensor]] = []
        for at, own in enumerate(weights):
            if at > 0 and layer.dropout > 0:
                x = functional.dropout(x, layer.dropout, layer.training)
            first = at * self._directions
            x, *finals = self._run(layer, at, x, *[one[first : first + self._directions] for one in initial], *own)
            ends.append(finals)
        after = tuple([torch.cat(states) for states in zip(*ends, strict=True)])
        return x, after if self._several else after[0]

    def _run(self, layer: "Recurrent", at: int, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Output and final states of one of the layers."""
        kind, record = self._kinds[at], record_of(layer, at)
        if record is None:
            return run_kind(kind, *tensors)
        kind = kind.with_record(record)
        record.begin(kind.call(tensors), self._choice)
        results = run_kind(kind, *tensors)
        record.end(results[0])
        return results


def training_way_of(layer: "Recurrent", x: Tensor) -> TrainingWay | None:
    """The short way of a layer for the next call with gradients.

    The first call of a shape goes the long way, so that nothing is laid out for a shape that does not come again.

    Arguments:
        layer: whose.
        x: (T, B, I).
    """
    if (
        not is_grad_enabled()
        or not nothing_between(x)
        or layer.checkpoint_every is not None
        or is_autocast_enabled("cpu")
    ):
        return None
    known, shape = layer._training_ways, x.shape
    try:
        way = known[shape]
    except KeyError:
        if len(known) == MOST_SHAPES:
            known.clear()
        known[shape] = None
        return None
    if way is None or way.backend != layer.backend:
        known[shape] = way = _laid_out(layer, x)
    return way


def _laid_out(layer: "Recurrent", x: Tensor) -> TrainingWay | None:
    steps, rows, width = x.shape
    first = layer._parameters.get(layer._names[0][0])
    if (
        layer.backend not in BACKENDS
        or (layer.bidirectional and layer.merge != "concat")
        or width != layer.input_size
        or steps * rows == 0
        or not x.is_cpu
        or first is None
        or first.dtype is not x.dtype
    ):
        return None
    calls: list[Call] = []
    zero, directions = torch.zeros((), dtype=x.dtype, device="cpu"), 1 + layer.bidirectional
    initial = (zero.expand(directions, rows, layer.hidden_size),) * len(layer.cell.states)
    for shapes in layer._shapes:
        parameters = tuple([zero.expand(shape) for shape in shapes])
        x_like = zero.expand(steps, rows, width)
        calls.append(Call(layer.cell, x_like, initial, parameters, None, None, layer._directions))
        width = directions * layer.hidden_size
    choice = backend_for(calls[0], backend=layer.backend)
    return TrainingWay(layer, calls, choice) if choice.name == "cpu" else None
