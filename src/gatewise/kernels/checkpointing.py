"""Checkpointing: a sequence runs in segments of time, each of which is recomputed in the backward pass.

Between the passes only the boundary states of the segments are saved; within them, the memory of one segment.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from gatewise.kernels.backend import differentiates
from gatewise.kernels.call import Call
from gatewise.kernels.differentiable import Gradients, gradients_of
from gatewise.kernels.dispatch import BACKENDS, run_on

BoundaryStates = tuple[Tensor, ...]
"""The states (S, B, H) each before the S segments of one direction, in order of execution."""


def run_by_segments(call: Call, backend: str) -> tuple[Tensor, tuple[Tensor, ...], list[BoundaryStates]]:
    """Run a call without recording it for autograd.

    Args:
        call: the call.
        backend: the backend to run it on.

    Returns:
        Output (T, B, D·H), final states (D, B, H) each with the `Call.sequences`, and the boundary states of each
        direction; none for a single segment.
    """
    call, every = _detached(call).with_states(), call.segment_steps
    steps, batch, _ = call.x.shape
    if every == steps:
        return *run_on(backend, call), []
    sizes = call.state_sizes if call.sequences else call.state_sizes[:1]
    output, *sequences = (call.x.new_empty((steps, batch, call.direction_count * size)) for size in sizes)
    finals = tuple(torch.empty_like(state, memory_format=torch.contiguous_format) for state in call.initial)
    boundary_states: list[BoundaryStates] = []
    for index, single in enumerate(call.single_directions()):
        own = [part.narrow(-1, index * size, size) for part, size in zip((output, *sequences), sizes, strict=True)]
        last, kept = _run(single, backend, every, own)
        boundary_states.append(kept)
        for to, state in zip(finals, last, strict=True):
            to[index] = state[0]
    return output, (*finals, *sequences), boundary_states


def recomputed(
    call: Call,
    backend: str,
    upstream: Sequence[Tensor | None],
    needed: Sequence[bool],
    boundary_states: Sequence[BoundaryStates] = (),
) -> Gradients:
    """The gradients of a call, recomputed from its arguments.

    Args:
        call: the call.
        backend: the backend to run it on.
        upstream: gradients of output and final states; None means zero.
        needed: whether the gradient of each of `Call.tensors` is needed.
        boundary_states: those returned by `run_by_segments`; empty to recompute them too.

    Returns:
        The gradient of each of `Call.tensors`, or None if it is not needed or zero.
    """
    call, every = _detached(call).with_states(), call.segment_steps
    if differentiates(runs := BACKENDS[backend]):
        return runs.backward(call, runs.forward(call, True)[2], upstream, needed)
    if every == call.x.shape[0]:
        leaves = leaves_of(call.tensors, needed)
        with torch.enable_grad():
            output, finals = run_on(backend, call.with_tensors(leaves))
        return gradients_of((output, *finals), upstream, leaves, needed)
    states, groups = len(call.initial), len(call.cell.groups)
    x_gradient = torch.zeros_like(call.x) if needed[0] else None
    totals = [
        torch.zeros_like(tensor, memory_format=torch.contiguous_format) if wanted else None
        for tensor, wanted in zip(call.parameters, needed[1 + states :], strict=True)
    ]
    initial_gradients: list[list[Tensor | None]] = [[] for _ in call.initial]
    for index, single in enumerate(call.single_directions()):
        kept = boundary_states[index] if boundary_states else _run(single, backend, every, [])[1]
        own = [
            None if above is None else above.narrow(-1, index * size, size)
            for above, size in zip((upstream[0], *upstream[1 + states :]), call.state_sizes, strict=False)
        ]
        own_totals = totals[index * groups : (index + 1) * groups]
        carried: Gradients = tuple(
            None if final is None else final[index : index + 1] for final in upstream[1 : 1 + states]
        )
        for number, start in reversed(list(enumerate(_starts(single, every)))):
            stop = min(start + every, call.x.shape[0])
            segment = single.window(start, stop, tuple(state[number : number + 1] for state in kept))
            output, *sequences = (None if above is None else above[start:stop] for above in own)
            part = None if x_gradient is None else x_gradient[start:stop]
            carried = _recompute(segment, backend, (output, *carried, *sequences), (part, *own_totals))
        for found, gradient in zip(initial_gradients, carried, strict=True):
            found.append(gradient)
    return (x_gradient, *map(_joined, initial_gradients, call.initial, needed[1:]), *totals)


def leaves_of(tensors: Sequence[Tensor], needed: Sequence[bool]) -> tuple[Tensor, ...]:
    """The tensors detached, as leaves of a new graph."""
    return tuple(tensor.detach().requires_grad_(wanted) for tensor, wanted in zip(tensors, needed, strict=True))


def _starts(call: Call, every: int) -> list[int]:
    """The first steps of the segments of one direction, in order of execution."""
    starts = list(range(0, call.x.shape[0], every))
    return starts[::-1] if call.directions == "reverse" else starts


def _run(
    call: Call, backend: str, every: int, sequences: Sequence[Tensor]
) -> tuple[tuple[Tensor, ...], BoundaryStates]:
    """Run one direction: its final states and boundary states.

    Without sequences to write to (the output, and further ones of the call), the last segment is skipped, and the
    states are those before it.
    """
    steps, starts, states = call.x.shape[0], _starts(call, every), call.initial
    kept = tuple(state.new_empty((len(starts), *state.shape[1:])) for state in states)
    for number, start in enumerate(starts):
        for to, state in zip(kept, states, strict=True):
            to[number] = state[0]
        if not sequences and start == starts[-1]:
            break
        stop = min(start + every, steps)
        segment = call.window(start, stop, states)
        part, finals = run_on(_able(backend, segment), segment)
        states = finals[: len(kept)]
        for to, values in zip(sequences, (part, *finals[len(kept) :]), strict=False):
            to[start:stop] = values
    return states, kept


def _recompute(
    segment: Call, backend: str, upstream: Sequence[Tensor | None], totals: Sequence[Tensor | None]
) -> Gradients:
    """The gradients of a segment's initial states; those of x and the parameters are added to ``totals``."""
    states = len(segment.initial)
    needed = (totals[0] is not None, *[True] * states, *(total is not None for total in totals[1:]))
    leaves = leaves_of(segment.tensors, needed)
    with torch.enable_grad():
        output, finals = run_on(_able(backend, segment), segment.with_tensors(leaves))
    x_gradient, *rest = gradients_of((output, *finals), upstream, leaves, needed)
    for total, gradient in zip(totals, (x_gradient, *rest[states:]), strict=True):
        if total is not None and gradient is not None:
            total += gradient
    return tuple(rest[:states])


def _joined(gradients: Sequence[Tensor | None], initial: Tensor, wanted: bool) -> Tensor | None:
    """Of the directions together."""
    if not wanted or all(gradient is None for gradient in gradients):
        return None
    zero = torch.zeros_like(initial[:1])
    return torch.cat([zero if gradient is None else gradient for gradient in gradients])


def _able(backend: str, segment: Call) -> str:
    """A window can be what the whole call is not: one direction, a row of length 0."""
    return backend if BACKENDS[backend].refusal(segment) is None else "reference"


def _detached(call: Call) -> Call:
    detached = call.with_tensors(tuple([tensor.detach() for tensor in call.tensors]))
    detached.checkpoint_every = call.checkpoint_every
    return detached
