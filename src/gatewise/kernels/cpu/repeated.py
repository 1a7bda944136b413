"""Calls in training, done again from a tape when another of the same kind comes.

What a call is told of, in Python, takes longer than a short sequence through a small network. The first call of a kind
goes as it comes, the second is written down, and those that follow are played with other addresses: the same
operations, the same bits. That is for calls without lengths and resets, of little memory; watched ones too, but where
they hand over their states.
"""

import os
from array import array
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from gatewise.kernels.call import Call
from gatewise.kernels.cpu import memory, weights
from gatewise.kernels.cpu.backward import backward as backward_as_it_comes
from gatewise.kernels.cpu.forward import Saved, restored
from gatewise.kernels.cpu.forward import forward as forward_as_it_comes
from gatewise.kernels.cpu.kind import Kind
from gatewise.kernels.cpu.library import out_of_memory
from gatewise.kernels.cpu.order import Order
from gatewise.kernels.cpu.taping import Written, taping

# Bytes that a tape may hold, about, and all of them together; and how many kinds of pass are remembered.
MOST_BYTES = 1 << 24
ALL_BYTES = 1 << 27
MOST_KINDS = 32

Gradients = tuple[Tensor | None, ...]


class Kept(NamedTuple):
    """What the backward pass needs beside the call and its output.

    Attributes:
        orders: by direction.
        tensors: those of each direction, one after the other.
    """

    orders: tuple[Order, ...]
    tensors: tuple[Tensor, ...]


class _Tape(NamedTuple):
    """What is played.

    Attributes:
        written: the tape, and what torch does around it.
        make: by result what makes a tensor for it; None where it is not wanted.
        orders: of a forward pass.
    """

    written: Written
    make: tuple[Callable[[], Tensor] | None, ...]
    orders: tuple[Order, ...] = ()


@dataclass(slots=True)
class _Passes:
    """Forward or backward passes of one kind.

    Attributes:
        bytes: that a tape holds, about.
        known: whether there was one before.
        possible: whether they can be played.
        free: tapes that nobody plays at the moment, taken and given back in single operations that no other thread can
            come between.
    """

    bytes: int
    known: bool = False
    possible: bool = True
    free: list[_Tape] = field(default_factory=list)


_known: dict[Hashable, _Passes] = {}
# A forked child shares its work out in another way.
os.register_at_fork(after_in_child=_known.clear)


def forward(kind: Kind, tensors: Sequence[Tensor]) -> tuple[Tensor, tuple[Tensor, ...], Kept]:
    """`forward.forward` of a call whose backward pass will follow.

    Arguments:
        kind: of the call.
        tensors: its own, of the order of `Call.tensors`.

    Returns:
        Output, final states, and what `backward` needs.
    """
    passes = None if kind.hands_over_values else passes_of(kind, "forward")
    if passes is None:
        return _parts(forward_as_it_comes(_call(kind, tensors), keep=True))
    tensors = _dense(tensors)
    try:
        tape = passes.free.pop()
    except IndexError:
        return _written_forward(kind, tensors, passes)
    states = kind.states
    results = [make() for make in tape.make if make is not None]
    _play(tape.written, kind, tensors, results)
    passes.free.append(tape)
    return results[0], tuple(results[1 : 1 + states]), Kept(tape.orders, tuple(results[1 + states :]))


def backward(
    kind: Kind,
    tensors: Sequence[Tensor],
    output: Tensor,
    kept: Kept,
    upstream: Sequence[Tensor | None],
    needed: Sequence[bool],
) -> Gradients:
    """`backward.backward` of a call that `forward` ran."""
    upstream = [one if one is None or one.is_contiguous() else one.contiguous() for one in upstream]
    told = kind.recorded, kind.hands_over_values
    passes = passes_of(kind, "backward", *told, tuple(needed), tuple([one is None for one in upstream]))
    if passes is None:
        call = _call(kind, tensors)
        return backward_as_it_comes(call, output, restored(call.cell, kept.orders, kept.tensors), upstream, needed)
    tensors, before = _dense(tensors), _dense((output, *kept.tensors))
    try:
        tape = passes.free.pop()
    except IndexError:
        return _written_backward(kind, tensors, before, kept.orders, upstream, needed, passes)
    found = [None if make is None else make() for make in tape.make]
    _play(tape.written, kind, tensors, [*before, *upstream, *found], found)
    passes.free.append(tape)
    return tuple(found)


def passes_of(kind: Kind, *which: Hashable) -> _Passes | None:
    """The passes of a kind; None when one is done as it comes: the first one, and those that cannot be played."""
    if kind.key is None or weights.any_frozen():
        return None
    key = (kind.key, which, torch.get_num_threads())
    passes = _known.pop(key, None)
    if passes is None:
        passes = _Passes(kind.bytes, possible=0 < kind.bytes <= MOST_BYTES)
        _make_room(kind.bytes if passes.possible else 0)
    _known[key] = passes  # as the newest
    if not passes.known or not passes.possible:
        passes.known = True
        return None
    return passes


def _make_room(size: int) -> None:
    """Forget the oldest until there is room for one more, whose tapes hold so many bytes."""
    known = list(_known.items())
    held = size + sum(passes.bytes for _, passes in known if passes.possible)
    for at, (key, passes) in enumerate(known):
        if len(known) - at < MOST_KINDS and held <= ALL_BYTES:
            break
        _known.pop(key, None)
        held -= passes.bytes if passes.possible else 0


def _written_forward(kind: Kind, tensors: Sequence[Tensor], passes: _Passes) -> tuple[Tensor, tuple[Tensor, ...], Kept]:
    call = _apart(kind.call(tensors))
    with taping() as writing:
        output, finals, kept = parts = _parts(forward_as_it_comes(call, keep=True))
    results = (output, *finals, *kept.tensors)
    written = writing.written(call.x.dtype, (*call.tensors, *results))
    _keep(passes, written, results, kept.orders)
    return parts


def _written_backward(
    kind: Kind,
    tensors: Sequence[Tensor],
    before: Sequence[Tensor],
    orders: tuple[Order, ...],
    upstream: Sequence[Tensor | None],
    needed: Sequence[bool],
    passes: _Passes,
) -> Gradients:
    call = _apart(kind.call(tensors))
    upstream = [None if one is None else one.clone() for one in upstream]
    output, *values = before
    with taping() as writing:
        found = backward_as_it_comes(call, output, restored(call.cell, orders, values), upstream, needed)
    others = [one for one in (*before, *upstream, *found) if one is not None]
    _keep(passes, writing.written(call.x.dtype, (*call.tensors, *others)), found)
    return found


def _keep(
    passes: _Passes, written: Written | None, results: Sequence[Tensor | None], orders: tuple[Order, ...] = ()
) -> None:
    if written is None:
        passes.possible = False
        return
    make = tuple([None if one is None else memory.maker(tuple(one.shape), one.dtype) for one in results])
    passes.free.append(_Tape(written, make, orders))


def _play(
    written: Written,
    kind: Kind,
    tensors: Sequence[Tensor],
    others: Sequence[Tensor | None],
    found: Sequence[Tensor | None] = (),
) -> None:
    call = kind.call(tensors) if written.before or written.after else None
    if call is not None:
        written.prepare(call)
    addresses = [one.data_ptr() for one in tensors]
    addresses += [one.data_ptr() for one in others if one is not None]
    written.tape.given[:] = array("q", addresses)
    if written.tape.play():
        raise out_of_memory()
    if call is not None:
        written.finish(call, found[1 + kind.states :])


def _parts(passed: tuple[Tensor, tuple[Tensor, ...], list[Saved]]) -> tuple[Tensor, tuple[Tensor, ...], Kept]:
    output, finals, saved = passed
    return (
        output,
        finals,
        Kept(tuple([one.order for one in saved]), tuple([tensor for one in saved for tensor in one.tensors])),
    )


def _call(kind: Kind, tensors: Sequence[Tensor]) -> Call:
    """The call as it comes; x may have any layout."""
    return kind.call((tensors[0], *_dense(tensors[1:])))


def _dense(tensors: Sequence[Tensor]) -> list[Tensor]:
    return [one if one.is_contiguous() else one.contiguous() for one in tensors]


def _apart(call: Call) -> Call:
    """The call with initial states in memory that nothing else shares: zeros stand for several."""
    return call.with_tensors((call.x, *[state.clone() for state in call.initial], *call.parameters))
