"""Long sequences in little memory: run by segments of time, of which each is run again when its gradients are wanted.

Between the passes nothing is kept but the states that reach each segment; within them, what one segment needs.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from gatewise.kernels.backend import differentiates
from gatewise.kernels.call import Call
from gatewise.kernels.differentiable import Gradients, gradients_of
from gatewise.kernels.dispatch import BACKENDS, run_on

Reaching = tuple[Tensor, ...]
"""The states (S, B, H) each that reach the S segments of one direction, in the order in which they are run."""


def run_by_segments(call: Call, backend: str) -> tuple[Tensor, tuple[Tensor, ...], list[Reaching]]:
    """Run a call for its values.

    Args:
        call: what to compute.
        backend: the backend to run it on.

    Returns:
        Output (T, B, D·H), final states (D, B, H) each, and by direction what reaches the segments; nothing for a
        single segment.
    """
    call, every = _detached(call).with_states(), call.segment_steps
    steps, batch, _ = call.x.shape
    if every == steps:
        return *run_on(backend, call), []
    hidden = call.hidden_size
    output = call.x.new_empty((steps, batch, call.direction_count * hidden))
    finals = tuple(torch.empty_like(state, memory_format=torch.contiguous_format) for state in call.initial)
    reaching: list[Reaching] = []
    for at, single in enumerate(call.single_directions()):
        own = output[..., at * hidden : (at + 1) * hidden]
        last, kept = _run(single, backend, every, own)
        reaching.append(kept)
        for to, state in zip(finals, last, strict=True):
            to[at] = state[0]
    return output, finals, reaching


def recomputed(
    call: Call,
    backend: str,
    upstream: Sequence[Tensor | None],
    needed: Sequence[bool],
    reaching: Sequence[Reaching] = (),
) -> Gradients:
    """The gradients of a call, run again from its arguments.

    Args:
        call: what was computed.
        backend: the backend to run it on.
        upstream: gradients of output and final states; None is zero.
        needed: for each of `Call.tensors` whether its gradient is wanted.
        reaching: what `run_by_segments` has kept; nothing: then that is run once more, too.

    Returns:
        For each of `Call.tensors` its gradient, or None where it is not needed or zero.
    """
    call, every = _detached(call).with_states(), call.segment_steps
    if differentiates(runs := BACKENDS[backend]):
        return runs.backward(call, runs.forward(call, True)[2], upstream, needed)
    if every == call.x.shape[0]:
        leaves = leaves_of(call.tensors, needed)
        with torch.enable_grad():
            output, finals = run_on(backend, call.with_tensors(leaves))
        return gradients_of((output, *finals), upstream, leaves, needed)
    states, groups, hidden = len(call.initial), len(call.cell.groups), call.hidden_size
    of_x = torch.zeros_like(call.x) if needed[0] else None
    sums = [
        torch.zeros_like(tensor, memory_format=torch.contiguous_format) if wanted else None
        for tensor, wanted in zip(call.parameters, needed[1 + states :], strict=True)
    ]
    of_initial: list[list[Tensor | None]] = [[] for _ in call.initial]
    for at, single in enumerate(call.single_directions()):
        kept = reaching[at] if reaching else _run(single, backend, every, None)[1]
        own = None if upstream[0] is None else upstream[0][..., at * hidden : (at + 1) * hidden]
        own_sums = sums[at * groups : (at + 1) * groups]
        carried: Gradients = tuple(None if final is None else final[at : at + 1] for final in upstream[1:])
        for number, start in reversed(list(enumerate(_starts(single, every)))):
            stop = min(start + every, call.x.shape[0])
            segment = single.window(start, stop, tuple(state[number : number + 1] for state in kept))
            above = (None if own is None else own[start:stop], *carried)
            part = None if of_x is None else of_x[start:stop]
            carried = _again(segment, backend, above, (part, *own_sums))
        for found, gradient in zip(of_initial, carried, strict=True):
            found.append(gradient)
    return (of_x, *map(_joined, of_initial, call.initial, needed[1:]), *sums)


def leaves_of(tensors: Sequence[Tensor], needed: Sequence[bool]) -> tuple[Tensor, ...]:
    """The same values without history, to ask gradients of."""
    return tuple(tensor.detach().requires_grad_(wanted) for tensor, wanted in zip(tensors, needed, strict=True))


def _starts(call: Call, every: int) -> list[int]:
    """The first steps of the segments of one direction, in the order in which they are run."""
    starts = list(range(0, call.x.shape[0], every))
    return starts[::-1] if call.directions == "reverse" else starts


def _run(call: Call, backend: str, every: int, output: Tensor | None) -> tuple[tuple[Tensor, ...], Reaching]:
    """Run one direction: its final states, and what reaches its segments.

    With no place for the output, the last segment is left out, and the states are those before it.
    """
    steps, starts, states = call.x.shape[0], _starts(call, every), call.initial
    kept = tuple(state.new_empty((len(starts), *state.shape[1:])) for state in states)
    for number, start in enumerate(starts):
        for to, state in zip(kept, states, strict=True):
            to[number] = state[0]
        if output is None and start == starts[-1]:
            break
        stop = min(start + every, steps)
        segment = call.window(start, stop, states)
        part, states = run_on(_able(backend, segment), segment)
        if output is not None:
            output[start:stop] = part
    return states, kept


def _again(segment: Call, backend: str, upstream: Sequence[Tensor | None], sums: Sequence[Tensor | None]) -> Gradients:
    """The gradients of the states that reach a segment; those of x and the parameters are added to the sums."""
    states = len(segment.initial)
    needed = (sums[0] is not None, *[True] * states, *(total is not None for total in sums[1:]))
    leaves = leaves_of(segment.tensors, needed)
    with torch.enable_grad():
        output, finals = run_on(_able(backend, segment), segment.with_tensors(leaves))
    of_x, *rest = gradients_of((output, *finals), upstream, leaves, needed)
    for total, gradient in zip(sums, (of_x, *rest[states:]), strict=True):
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
