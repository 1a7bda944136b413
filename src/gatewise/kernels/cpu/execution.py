"""The engine's two passes over one layer, or forward over a stack: what they are given and what they return.

Nothing survives a call but workspaces: no address, no layout, no packed weights.
"""

from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, get_num_threads

from gatewise.kernels.backend import Gradients, Saved
from gatewise.kernels.call import Call
from gatewise.kernels.cpu import interface
from gatewise.kernels.cpu.library import Engine, engine, pool_address
from gatewise.kernels.cpu.parallelism import threads
from gatewise.kernels.cpu.program import loaded
from gatewise.kernels.plain import plain

# Multiply-adds between two looks at Python's signals: at most about a tenth of a second.
CHUNK = 1_000_000_000
# Whether work is shared out however little it is; tests want that.
SHARE_SMALL = 0
# What the engine times, in its order.
PACKING, PRODUCTS_BEFORE, LOOP, PRODUCTS_AFTER, SUMS = range(5)
_seconds: array | None = None
_CPU = torch.device("cpu")  # whatever the default device is


def forward(call: Call, save: bool) -> tuple[Tensor, tuple[Tensor, ...], Saved]:
    """Run a call of strided CPU tensors.

    Returns:
        Output (T, B, D·H), final states (D, B, H) each, and what `backward` needs if it was to be saved. Of a step,
        x (B, I) or (I,), these have no T, and no B where x has none.

    Raises:
        ValueError: when a length is out of range, or a tensor has no memory.
        MemoryError: when there is no memory for the workspace.
    """
    found = engine()
    shown = None if call.record is None else _room_for_states(call)
    segment = 0 if call.checkpoint_every is None else call.segment_steps
    done = found.binding.forward(
        *_machine(found, found.forward), *_arguments(call, segment), save, call.fixed_shapes, shown
    )
    if type(done) is not tuple:
        raise _failure(call, found, done)
    output, finals, kept = done
    if shown is not None:
        assert call.record is not None
        for at in range(call.direction_count):
            record = call.record.of_direction(at) if call.direction_count == 2 else call.record
            for state in range(shown.shape[1]):
                record.states(state, shown[at, state])
    return output, finals, () if kept is None else (kept,) if segment else (output, kept)


def backward(
    call: Call,
    saved: Saved,
    upstream: Sequence[Tensor | None],
    needed: Sequence[bool],
) -> Gradients:
    """The gradients of a call that `forward` has run.

    Args:
        call: what was computed.
        saved: what it saved.
        upstream: gradients of output and final states; None is zero.
        needed: for each of `Call.tensors` whether its gradient is wanted.

    Returns:
        For each of `Call.tensors` its gradient, or None where it is not needed.
    """
    if call.x.shape[1] == 0:
        return tuple([torch.zeros_like(t) if wanted else None for t, wanted in zip(call.tensors, needed, strict=True)])
    found = engine()
    norms, shown = (None, None) if call.record is None else _room_for_gradients(call)
    segment = 0 if call.checkpoint_every is None else call.segment_steps
    done = found.binding.backward(
        *_machine(found, found.backward),
        *_arguments(call, segment),
        saved[0],
        saved[-1],
        tuple(upstream),
        tuple(needed),
        norms,
        shown,
    )
    if type(done) is not tuple:
        raise _failure(call, found, done)
    if norms is not None:
        assert call.record is not None
        for at in range(call.direction_count):
            record = call.record.of_direction(at) if call.direction_count == 2 else call.record
            record.norms(None, norms[at], None if shown is None else shown[at])
    return done


def _machine(found: Engine, function: int) -> tuple[int, ...]:
    """How a pass is to be run."""
    slices = get_num_threads()
    workers = 1 if slices == 1 else threads()
    pool = 0 if workers == 1 else pool_address()
    return found.abi, function, slices, workers, pool, CHUNK, SHARE_SMALL, 0 if _seconds is None else _address(_seconds)


def _arguments(call: Call, segment: int) -> tuple[Any, ...]:
    """What both passes are given of a call."""
    packed, weights = call.packed, call.parameters
    return (
        loaded(call.cell),
        call.direction_count,
        call.directions == "reverse",
        call.layers,
        segment,
        call.x,
        call.initial,
        weights if packed is None else packed.values(weights),
        call.lengths,
        call.reset,
        packed,
    )


def _failure(call: Call, found: Engine, code: int | None) -> Exception:
    """The error of a call that the engine has refused.

    Raises:
        ValueError: where the call's own values tell what is wrong.
    """
    if code == interface.BAD_LENGTH:
        call.check_values()  # tells which
    plain(call)  # tells which tensor has no memory
    if code is not None and code % 256 == interface.BAD_BUFFER:
        return ValueError(f"{list(found.binding.fields)[code // 256]}: its memory is smaller than its shape says")
    return RuntimeError(f"the fused CPU kernels returned code {code}; install gatewise again")


def _room_for_states(call: Call) -> Tensor | None:
    """The states (D, S, T·B, H), where observers want them."""
    assert call.record is not None
    if not call.record.wants_values:
        return None
    shape = (call.direction_count, len(call.cell.states), call.x.shape[0] * call.x.shape[1], call.hidden_size)
    return torch.zeros(shape, dtype=call.x.dtype, device=_CPU)


def _room_for_gradients(call: Call) -> tuple[Tensor, Tensor | None]:
    """Norms (D, T·B, S) of the gradients of the states, and where they are wanted these, (D, T·B, S, H)."""
    assert call.record is not None
    shape = (call.direction_count, call.x.shape[0] * call.x.shape[1], len(call.cell.states))
    make = torch.empty if call.lengths is None else torch.zeros
    norms = make(shape, dtype=torch.float64, device=_CPU)
    if not call.record.wants_values:
        return norms, None
    return norms, torch.zeros((*shape, call.hidden_size), dtype=call.x.dtype, device=_CPU)


@contextmanager
def phase_seconds() -> Iterator[array]:
    """Within a ``with`` block, the seconds that the engine spends in each phase of all calls."""
    global _seconds
    _seconds = array("d", [0.0] * 5)
    try:
        yield _seconds
    finally:
        _seconds = None


def _address(numbers: array) -> int:
    return numbers.buffer_info()[0]
