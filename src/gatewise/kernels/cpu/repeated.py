"""Calls in training, done again from a tape when another of the same kind and shape comes.

What a call is told of, in Python, takes longer than a short sequence through a small network. The first call of a kind
and shape goes as it comes, the second is written down, and those that follow are played with other addresses: the same
operations, the same bits. That is for calls without lengths and resets, of one direction, of little memory; watched
ones too, but where they hand over their states.
"""

import os
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from gatewise.kernels.call import Call
from gatewise.kernels.cpu import memory, weights
from gatewise.kernels.cpu.backward import backward as backward_as_it_comes
from gatewise.kernels.cpu.forward import Saved
from gatewise.kernels.cpu.forward import forward as forward_as_it_comes
from gatewise.kernels.cpu.order import Order
from gatewise.kernels.cpu.taping import Written, taping

# Bytes that a tape may hold, about, and all of them together; and how many kinds of call are remembered.
MOST_BYTES = 1 << 24
ALL_BYTES = 1 << 27
MOST_KINDS = 32

Forward = tuple[Tensor, tuple[Tensor, ...], list[Saved]]
Gradients = tuple[Tensor | None, ...]


class _Tape(NamedTuple):
    """What is played; of a forward call also the order of its steps, and the shapes of what it keeps."""

    written: Written
    order: Order
    values: tuple[int, ...] | None
    states: tuple[tuple[int, ...], ...]


@dataclass(slots=True)
class _Kind:
    """Calls of one kind and shape.

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


_kinds: dict[Hashable, _Kind] = {}
# A forked child shares its work out in another way.
os.register_at_fork(after_in_child=_kinds.clear)


def forward(call: Call) -> Forward:
    """`forward.forward` of a call whose backward pass will follow."""
    kind = kind_of(call, "forward")
    if kind is None:
        return forward_as_it_comes(call, keep=True)
    try:
        tape = kind.free.pop()
    except IndexError:
        return _written_forward(call, kind)
    weights.end(call.parameters)
    steps, batch, _ = call.x.shape
    hidden, dtype = call.hidden_size, call.x.dtype
    output = memory.empty((steps, batch, hidden), dtype)
    finals = tuple([torch.empty((1, batch, hidden), dtype=dtype) for _ in call.initial])
    saved = Saved(
        tape.order,
        None if tape.values is None else memory.empty(tape.values, dtype),
        tuple([memory.empty(shape, dtype) for shape in tape.states]),
    )
    _play(tape.written, call, (*call.tensors, output, *finals, *saved.tensors))
    kind.free.append(tape)
    return output, finals, [saved]


def backward(
    call: Call, output: Tensor, saved: Sequence[Saved], upstream: Sequence[Tensor | None], needed: Sequence[bool]
) -> Gradients:
    """`backward.backward` of a call that `forward` ran."""
    upstream = tuple([None if one is None else one.contiguous() for one in upstream])
    kind = kind_of(call, "backward", tuple(needed), tuple([one is None for one in upstream]))
    if kind is None or not all(one.is_contiguous() for one in (output, *saved[0].tensors)):
        return backward_as_it_comes(call, output, saved, upstream, needed)
    try:
        tape = kind.free.pop()
    except IndexError:
        return _written_backward(call, output, saved, upstream, needed, kind)
    found = [
        memory.empty(tuple(tensor.shape), tensor.dtype) if wanted else None
        for tensor, wanted in zip(call.tensors, needed, strict=True)
    ]
    _play(tape.written, call, _outside(call, output, saved, upstream, found))
    for finish in tape.written.after:
        finish(call, found[1 + len(call.initial) :])
    kind.free.append(tape)
    return tuple(found)


def kind_of(call: Call, *which: Hashable) -> _Kind | None:
    """The kind of a call; None when it is done as it comes: the first one, and those that cannot be played."""
    recorded = call.record is not None and ("forward" not in which or call.record.wants_states)
    if (
        call.lengths is not None
        or call.reset is not None
        or (recorded and "forward" in which)
        or call.directions == "bidirectional"
        or weights.any_frozen()
        or not all(tensor.is_contiguous() for tensor in call.tensors)
    ):
        return None
    steps, batch, width = call.x.shape
    key = (call.cell.equations, steps, batch, width, call.hidden_size, call.x.dtype, call.directions, which)
    key = (*key, recorded, torch.get_num_threads())
    kind = _kinds.pop(key, None)
    if kind is None:
        size = _bytes(call)
        kind = _Kind(size, possible=0 < size <= MOST_BYTES and batch * steps > 0)
        _make_room(size if kind.possible else 0)
    _kinds[key] = kind  # as the newest
    if not kind.known or not kind.possible:
        kind.known = True
        return None
    return kind


def _make_room(size: int) -> None:
    """Forget the oldest kinds until there is room for one more, whose tapes hold so many bytes."""
    known = list(_kinds.items())
    held = size + sum(kind.bytes for _, kind in known if kind.possible)
    for at, (key, kind) in enumerate(known):
        if len(known) - at < MOST_KINDS and held <= ALL_BYTES:
            break
        _kinds.pop(key, None)
        held -= kind.bytes if kind.possible else 0


def _bytes(call: Call) -> int:
    """About what a tape holds: packed weights, and the products with x or the gradients of all gates."""
    steps, batch, _ = call.x.shape
    gates = max(parameter.shape[0] for parameter in call.parameters)
    return (sum(parameter.numel() for parameter in call.parameters) + steps * batch * gates) * call.x.dtype.itemsize


def _written_forward(call: Call, kind: _Kind) -> Forward:
    call = call.with_tensors((call.x, *_apart(call.initial), *call.parameters))
    with taping() as writing:
        output, finals, saved = forward_as_it_comes(call, keep=True)
    (kept,) = saved
    written = writing.written(call.x.dtype, (*call.tensors, output, *finals, *kept.tensors))
    _keep(kind, written, kept)
    return output, finals, saved


def _written_backward(
    call: Call,
    output: Tensor,
    saved: Sequence[Saved],
    upstream: Sequence[Tensor | None],
    needed: Sequence[bool],
    kind: _Kind,
) -> Gradients:
    call = call.with_tensors((call.x, *_apart(call.initial), *call.parameters))
    upstream = tuple([None if one is None else one.clone() for one in upstream])
    with taping() as writing:
        found = backward_as_it_comes(call, output, saved, upstream, needed)
    _keep(kind, writing.written(call.x.dtype, _outside(call, output, saved, upstream, found)), saved[0])
    return found


def _apart(initial: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The same values in memory that nothing else shares: zeros stand for several states."""
    return tuple([state.clone() for state in initial])


def _outside(
    call: Call,
    output: Tensor,
    saved: Sequence[Saved],
    upstream: Sequence[Tensor | None],
    found: Sequence[Tensor | None],
) -> list[Tensor]:
    others = [one for one in (*upstream, *found) if one is not None]
    return [*call.tensors, output, *saved[0].tensors, *others]


def _keep(kind: _Kind, written: Written | None, saved: Saved) -> None:
    if written is None:
        kind.possible = False
        return
    values = None if saved.values is None else tuple(saved.values.shape)
    kind.free.append(_Tape(written, saved.order, values, tuple([tuple(one.shape) for one in saved.states])))


def _play(written: Written, call: Call, outside: Sequence[Tensor]) -> None:
    for value, make in written.before:
        value.copy_(make(call))
    given = written.tape.given
    for at, one in enumerate(outside):
        given[at] = one.data_ptr()
    written.tape.play()
