"""The engine's two passes over one layer, or forward over a stack.

Only workspaces are kept between calls: no addresses, layouts or packed weights.
"""

from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from gatewise.kernels.backend import Gradients, Saved
from gatewise.kernels.call import Call, Observer
from gatewise.kernels.cpu import interface
from gatewise.kernels.cpu.library import Engine, engine, pool_address
from gatewise.kernels.cpu.parallelism import team
from gatewise.kernels.cpu.program import loaded
from gatewise.kernels.plain import plain

# Multiply-adds between two checks of Python's signals: at most about a tenth of a second.
CHUNK = 1_000_000_000
# Whether work is partitioned among threads regardless of its size, for tests.
SHARE_SMALL = 0
# The phases that the engine times, in order.
PACKING, PRODUCTS_BEFORE, LOOP, PRODUCTS_AFTER, SUMS = range(5)
# Of products, as the engine numbers them; by `Call.precision`.
_PRECISIONS = {None: 0, "int8": 8, "bf16": 16}
_seconds: array | None = None
_CPU = torch.device("cpu")  # whatever the default device is


def forward(call: Call, save: bool) -> tuple[Tensor, tuple[Tensor, ...], Saved]:
    """Run a call of strided CPU tensors.

    Returns:
        Output (T, B, D·H), final states (D, B, H) each with the `Call.sequences`, and what `backward` needs, if
        saved. Of a step, x (B, I) or (I,), these have no T, and no B where x has none.

    Raises:
        ValueError: when a length is out of range, or a tensor has no memory.
        MemoryError: when there is no memory for the workspace.
    """
    found = engine()
    observed = None if call.record is None else _states_for_observers(call)
    segment = 0 if call.checkpoint_every is None else call.segment_steps
    rates = _mask_rates(call)
    done = found.binding.forward(
        _arguments(found, found.forward, call, segment, rates),
        save,
        call.fixed_shapes,
        call.sequences,
        observed,
        call.finals,
    )
    if type(done) is not tuple:
        raise _failure(call, found, done)
    output, finals, kept = done
    if observed is not None:
        sizes = [width * call.x.shape[0] * call.x.shape[1] for width in call.state_sizes]
        for index, record in enumerate(_observers(call)):
            for state, (values, width) in enumerate(zip(observed[index].split(sizes), call.state_sizes, strict=True)):
                record.states(state, values.view(-1, width))
    return output, finals, () if kept is None else (kept,) if segment else (output, kept)


def backward(
    call: Call,
    saved: Saved,
    upstream: Sequence[Tensor | None],
    needed: Sequence[bool],
) -> Gradients:
    """The gradients of a call that `forward` has run.

    Args:
        call: the call.
        saved: the tensors it saved.
        upstream: gradients of output, final states and sequences; None means zero.
        needed: whether the gradient of each of `Call.tensors` is needed.

    Returns:
        The gradient of each of `Call.tensors`, or None if it is not needed.
    """
    if call.x.shape[1] == 0:
        return tuple([torch.zeros_like(t) if wanted else None for t, wanted in zip(call.tensors, needed, strict=True)])
    found = engine()
    norms, observed = (None, None) if call.record is None else _gradients_for_observers(call)
    segment = 0 if call.checkpoint_every is None else call.segment_steps
    rates = _mask_rates(call)
    done = found.binding.backward(
        _arguments(found, found.backward, call, segment, rates),
        saved[0],
        saved[-1],
        tuple(upstream),
        tuple(needed),
        norms,
        observed,
    )
    if type(done) is not tuple:
        raise _failure(call, found, done)
    if norms is not None:
        for index, record in enumerate(_observers(call)):
            if observed is None or not call.cell.projected:
                record.norms(None, norms[index], observed if observed is None else observed[index])
                continue
            parts = observed[index].flatten(1).split(call.state_sizes, dim=-1)
            for state, values in enumerate(parts):
                record.norms(state, norms[index][:, state], values)
    return done


def _arguments(found: Engine, function: int, call: Call, segment: int, rates: array | None) -> tuple[Any, ...]:
    """The arguments that both passes take: of the machine, then of the call. The caller holds the masks' rates."""
    packed, weights, masks = call.packed, call.parameters, call.masks
    if packed is not None and (copies := packed.copies(call.x.dtype)) is not None:
        weights = copies
    elif packed is not None:
        plain(call)  # before they are copied
        weights = packed.values(weights)
    slices, workers = team()
    return (
        found.abi,
        function,
        slices,
        workers,
        0 if workers == 1 else pool_address(),
        CHUNK,
        SHARE_SMALL,
        0 if _seconds is None else _seconds.buffer_info()[0],
        loaded(call.cell),
        2 if call.directions == "bidirectional" else 1,
        call.directions == "reverse",
        call.layers,
        segment,
        0 if masks is None or masks.seed is None else int(masks.seed),
        0 if masks is None else masks.stream,
        0 if masks is None else masks.step,
        0 if rates is None else rates.buffer_info()[0],
        _PRECISIONS[call.precision],
        call.x,
        call.initial,
        weights,
        call.lengths,
        call.reset,
        packed,
    )


def _mask_rates(call: Call) -> array | None:
    """The rates of a call's masks, for the engine to read."""
    return array("d", call.all_masks.rates) if call.cell.masks else None


def _failure(call: Call, found: Engine, code: int | None) -> Exception:
    """The error of a call that the engine rejected.

    Raises:
        ValueError: if a check of the call's values finds the cause.
    """
    if code == interface.BAD_LENGTH:
        call.check_values()  # names the row
    plain(call)  # names a tensor without memory
    if code is None:
        return RuntimeError(
            f"the fused CPU kernels cannot read a tensor of this call: expected dense CPU tensors of {call.x.dtype}; "
            "hooks on saved tensors and dispatch modes may change neither dtype nor device"
        )
    if code % 256 == interface.BAD_BUFFER:
        return ValueError(f"{list(found.binding.fields)[code // 256]}: its memory is smaller than its shape says")
    return RuntimeError(f"the fused CPU kernels returned code {code}; install gatewise again")


def _observers(call: Call) -> list[Observer]:
    """The observer of each direction."""
    assert call.record is not None
    return [call.record] if call.direction_count == 1 else [call.record.of_direction(index) for index in range(2)]


def _states_for_observers(call: Call) -> Tensor | None:
    """A tensor (D, …) for the states (S, T·B, H) of each direction, each of its width, if observers want them."""
    assert call.record is not None
    if not call.record.wants_values:
        return None
    count = sum(call.state_sizes) * call.x.shape[0] * call.x.shape[1]
    return torch.zeros((call.direction_count, count), dtype=call.x.dtype, device=_CPU)


def _gradients_for_observers(call: Call) -> tuple[Tensor, Tensor | None]:
    """Tensors for the norms (D, T·B, S) of the states' gradients, and, if wanted, the gradients (D, T·B, S, H).

    Those of states of several widths are side by side, (D, T·B, …).
    """
    assert call.record is not None
    shape = (call.direction_count, call.x.shape[0] * call.x.shape[1], len(call.cell.states))
    make = torch.empty if call.lengths is None else torch.zeros
    norms = make(shape, dtype=torch.float64, device=_CPU)
    if not call.record.wants_values:
        return norms, None
    widths = (sum(call.state_sizes),) if call.cell.projected else (shape[-1], call.hidden_size)
    return norms, torch.zeros((*shape[:2], *widths), dtype=call.x.dtype, device=_CPU)


@contextmanager
def phase_seconds() -> Iterator[array]:
    """Measure the seconds that the engine spends in each phase, over all calls of a ``with`` block."""
    global _seconds
    _seconds = array("d", [0.0] * 5)
    try:
        yield _seconds
    finally:
        _seconds = None
