"""Long sequences in little memory: run by segments of time, of which each is run again when its gradients are wanted.

Between the passes nothing is kept but the states that reach each segment; within them, what one segment needs.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from gatewise.kernels.call import Call
from gatewise.kernels.differentiable import Gradients, gradients_of
from gatewise.kernels.dispatch import BACKENDS, run_on

# For so many steps per segment as the root of all steps, where kept states and one segment together take least.
AUTO = 0


def run_by_segments(
    call: Call, backend: str, every: int | None
) -> tuple[Tensor, tuple[Tensor, ...], list[tuple[Tensor, ...]]]:
    """Run a call for its values.

    Arguments:
        call: what to compute.
        backend: the backend to run it on.
        every: steps per segment, or `AUTO`, or None for one segment.

    Returns:
        Output (T, B, D·H), final states (D, B, H) each, and by direction the states (S, B, H) each that reach the
        S segments, in the order in which they are run; nothing for a single segment.
    """
    call = call.with_tensors(tuple(tensor.detach() for tensor in call.tensors))
    steps, batch, _ = call.x.shape
    hidden, every = call.hidden_size, _length(steps, every)
    if every == steps:
        output, finals = run_in_training(backend, call)
        return output, finals, []
    output = call.x.new_empty((steps, batch, call.direction_count * hidden))
    finals = tuple(torch.empty_like(state, memory_format=torch.contiguous_format) for state in call.initial)
    reaching: list[tuple[Tensor, ...]] = []
    for at, single in enumerate(call.single_directions()):
        starts = _starts(single, every)
        kept = tuple(state.new_empty((len(starts), batch, hidden)) for state in single.initial)
        states = single.initial
        for number, start in enumerate(starts):
            for to, state in zip(kept, states, strict=True):
                to[number] = state[0]
            stop = min(start + every, steps)
            segment = single.window(start, stop, states)
            part, states = run_in_training(_able(backend, segment), segment)
            output[start:stop, :, at * hidden : (at + 1) * hidden] = part
        for to, state in zip(finals, states, strict=True):
            to[at] = state[0]
        reaching.append(kept)
    return output, finals, reaching


def recomputed(
    call: Call,
    backend: str,
    upstream: Sequence[Tensor | None],
    needed: Sequence[bool],
    every: int | None,
    reaching: Sequence[Sequence[Tensor]] | None = None,
) -> Gradients:
    """The gradients of a call, run again from its arguments.

    Arguments:
        call: what was computed.
        backend: the backend to run it on.
        upstream: gradients of output and final states; None is zero.
        needed: for each of `Call.tensors` whether its gradient is wanted.
        every: as `run_by_segments`.
        reaching: what `run_by_segments` has kept; None: it is run once more, too.

    Returns:
        For each of `Call.tensors` its gradient, or None where it is not needed or zero.
    """
    call = call.with_tensors(tuple(tensor.detach() for tensor in call.tensors))
    steps, hidden = call.x.shape[0], call.hidden_size
    every = _length(steps, every)
    if every == steps:
        return _again(call, backend, upstream, needed)
    if reaching is None:
        reaching = run_by_segments(call, backend, every)[2]
    states, groups = len(call.initial), len(call.cell.groups)
    found: list[Tensor | None] = [
        torch.zeros_like(tensor, memory_format=torch.contiguous_format) if wanted and number > states else None
        for number, (tensor, wanted) in enumerate(zip(call.tensors, needed, strict=True))
    ]
    if needed[0]:
        found[0] = call.x.new_empty(call.x.shape)
    for at, (single, kept) in enumerate(zip(call.single_directions(), reaching, strict=True)):
        own = upstream[0]
        if own is not None:
            own = own[..., at * hidden : (at + 1) * hidden]
        of_parameters = range(1 + states + at * groups, 1 + states + (at + 1) * groups)
        carried: Gradients = tuple(None if final is None else final[at : at + 1] for final in upstream[1:])
        starts = _starts(single, every)
        for number, start in reversed(list(enumerate(starts))):
            stop = min(start + every, steps)
            segment = single.window(start, stop, tuple(state[number : number + 1] for state in kept))
            wanted = (needed[0], *[True] * states, *(needed[of] for of in of_parameters))
            above = (None if own is None else own[start:stop], *carried)
            of_x, *rest = _again(segment, backend, above, wanted)
            carried = tuple(rest[:states])
            if found[0] is not None:
                _put(found[0][start:stop], of_x, add=at > 0)
            for of, gradient in zip(of_parameters, rest[states:], strict=True):
                whole = found[of]
                if whole is not None and gradient is not None:
                    whole += gradient
        for state, gradient in enumerate(carried, start=1):
            if needed[state] and gradient is not None:
                whole = found[state]
                whole = torch.zeros_like(call.initial[state - 1]) if whole is None else whole
                whole[at] = gradient[0]
                found[state] = whole
    return tuple(found)


def run_in_training(backend: str, call: Call) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run for the values alone, but with gradients on where autograd has switched them off to record the whole.

    So backends do as in training: they do not trust that the weights are those of the last call.
    """
    with torch.enable_grad():
        return run_on(backend, call.with_tensors(tuple(tensor.detach() for tensor in call.tensors)))


def leaves_of(tensors: Sequence[Tensor], needed: Sequence[bool]) -> tuple[Tensor, ...]:
    """The same values without history, to ask gradients of."""
    return tuple(tensor.detach().requires_grad_(wanted) for tensor, wanted in zip(tensors, needed, strict=True))


def _length(steps: int, every: int | None) -> int:
    if every == AUTO:
        every = math.isqrt(steps - 1) + 1
    return steps if every is None else min(every, steps)


def _starts(call: Call, every: int) -> list[int]:
    """The first steps of the segments of one direction, in the order in which they are run."""
    starts = list(range(0, call.x.shape[0], every))
    return starts[::-1] if call.directions == "reverse" else starts


def _again(call: Call, backend: str, upstream: Sequence[Tensor | None], needed: Sequence[bool]) -> Gradients:
    leaves = leaves_of(call.tensors, needed)
    with torch.enable_grad():
        output, finals = run_on(_able(backend, call), call.with_tensors(leaves))
    return gradients_of((output, *finals), upstream, leaves, needed)


def _able(backend: str, segment: Call) -> str:
    """A window can be what the whole call is not: one direction, a row of length 0."""
    return backend if BACKENDS[backend].refusal(segment) is None else "reference"


def _put(to: Tensor, gradient: Tensor | None, *, add: bool) -> None:
    if add and gradient is not None:
        to += gradient
    elif not add:
        to.zero_() if gradient is None else to.copy_(gradient)
