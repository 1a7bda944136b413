"""The engine's two passes over one layer: fill in the struct of a call, and call.

Nothing here survives a call but workspaces: no address, no layout, no packed weights.
"""

from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from struct import Struct

import torch
from torch import Tensor, empty_like, get_num_threads

from gatewise.kernels.backend import Gradients, Saved
from gatewise.kernels.call import Call
from gatewise.kernels.cpu import interface, memory, workspace
from gatewise.kernels.cpu.dense import dense, dense_sequence
from gatewise.kernels.cpu.interface import WORDS, word_of
from gatewise.kernels.cpu.library import engine, pool_address
from gatewise.kernels.cpu.packed import PackedWeights, weight_words
from gatewise.kernels.cpu.parallelism import threads
from gatewise.kernels.cpu.program import Loaded, loaded
from gatewise.kernels.cpu.workspace import Workspace
from gatewise.kernels.plain import plain

# Multiply-adds between two looks at Python's signals: at most about a tenth of a second.
CHUNK = 1_000_000_000
# Whether work is shared out however little it is; tests want that.
SHARE_SMALL = 0
_WORKSPACE, _NEEDED = word_of("workspace"), word_of("needed")
_WEIGHTS, _LAYOUT = word_of("weights"), word_of("weights_layout")
# What the engine times, in its order.
PACKING, PRODUCTS_BEFORE, LOOP, PRODUCTS_AFTER, SUMS = range(5)
_seconds: array | None = None
_NO_SEQUENCE, _NO_DENSE = (0, 0, 0, 0), (0, 0)
_SIZE = 8 * WORDS
_CPU = torch.device("cpu")  # whatever the default device is


def forward(call: Call, save: bool) -> tuple[Tensor, tuple[Tensor, ...], Saved]:
    """Run a call of plain, strided CPU tensors.

    Returns:
        Output (T, B, D·H), final states (D, B, H) each, and what `backward` needs if it was to be saved.
    """
    x, cell, directions = call.x, loaded(call.cell), call.direction_count
    steps, batch, _ = x.shape
    hidden, dtype = call.hidden_size, x.dtype
    output = memory.empty((steps, batch, directions * hidden), dtype)
    shape = (call.layers * directions, batch, hidden)
    finals = tuple([x.new_empty(shape) for _ in range(cell.states)])
    saved: Saved = ()
    values = boundaries = None
    if save and call.checkpoint_every is not None:
        segments = -(-steps // call.segment_steps)
        boundaries = memory.empty((directions, segments, cell.states, batch, hidden), dtype)
        saved = (boundaries,)
    elif save:
        rows = steps * batch if call.lengths is None or call.fixed_shapes else int(call.lengths.sum())
        values = memory.empty((directions, rows, cell.saved_blocks * hidden), dtype)
        saved = (output, values)
    shown: Tensor | None = None
    if call.record is not None and call.record.wants_values:
        shown = torch.zeros((directions, cell.states, steps * batch, hidden), dtype=dtype, device=_CPU)
    if batch == 0:
        return output, finals, saved
    states: list[int] = []
    count = call.layers * directions * batch * hidden
    if call.initial:
        for initial, final in zip(call.initial, finals, strict=True):
            states += (_address(call, initial), count, final.data_ptr(), count, 0, 0, 0, 0)
    else:
        for final in finals:
            states += (0, 0, final.data_ptr(), count, 0, 0, 0, 0)
    parameters = weight_words(_weights(call))
    buffers = [
        *_sequence(x),
        *_sequence(output),
        *_steps(call),
        *_flat(values),
        *_flat(boundaries),
        *_NO_SEQUENCE,
        *_NO_SEQUENCE,
        *_NO_DENSE,
        *_flat(shown),
        *_NO_DENSE,
    ]
    _run(False, call, cell, buffers, states, parameters, 0 if boundaries is None else call.segment_steps)
    if shown is not None:
        assert call.record is not None
        for at in range(directions):
            record = call.record.of_direction(at) if directions == 2 else call.record
            for state in range(cell.states):
                record.states(state, shown[at, state])
    return output, finals, saved


def backward(
    call: Call,
    saved: Saved,
    upstream: Sequence[Tensor | None],
    needed: Sequence[bool],
) -> Gradients:
    """The gradients of a call that `forward` has run.

    Arguments:
        call: what was computed.
        saved: what it saved.
        upstream: gradients of output and final states; None is zero.
        needed: for each of `Call.tensors` whether its gradient is wanted.

    Returns:
        For each of `Call.tensors` its gradient, or None where it is not needed.
    """
    x, cell, directions = call.x, loaded(call.cell), call.direction_count
    steps, batch, _ = x.shape
    if batch == 0:
        return tuple([torch.zeros_like(t) if wanted else None for t, wanted in zip(call.tensors, needed, strict=True)])
    count = len(call.initial)
    x_gradient = memory.empty((steps, batch, x.shape[2]), x.dtype) if needed[0] else None
    found: list[Tensor | None] = [x_gradient]
    states: list[int] = []
    final_gradients = [None if one is None else dense(one) for one in upstream[1:]]
    for at in range(cell.states):
        final_gradient = final_gradients[at]
        states += (_address(call, call.initial[at]), call.initial[at].numel()) if count else _NO_DENSE
        states += _NO_DENSE
        states += _flat(final_gradient)
        if count and needed[1 + at]:
            gradient = empty_like(call.initial[at])
            found.append(gradient)
            states += _flat(gradient)
        else:
            states += _NO_DENSE
            if count:
                found.append(None)
    parameters: list[int] = []
    for one, wanted in zip(_weights(call), needed[1 + count :], strict=True):
        if wanted:
            gradient = empty_like(one)
            found.append(gradient)
            number = one.numel()
            parameters += (one.data_ptr(), number, gradient.data_ptr(), number)
        else:
            found.append(None)
            parameters += (one.data_ptr(), one.numel(), 0, 0)
    output_gradient = None if upstream[0] is None else dense_sequence(upstream[0])
    norms, shown = _room_for_observers(call, cell)
    again = call.checkpoint_every is not None
    values, output = saved[-1], None if again else saved[0]
    buffers = [
        *_sequence(x),
        *_sequence(output),
        *_steps(call),
        *_flat(None if again else values),
        *_flat(values if again else None),
        *_sequence(output_gradient),
        *_sequence(x_gradient),
        *_flat(norms),
        *_NO_DENSE,
        *_flat(shown),
    ]
    _run(True, call, cell, buffers, states, parameters, call.segment_steps if again else 0)
    if norms is not None:
        assert call.record is not None
        for at in range(directions):
            record = call.record.of_direction(at) if directions == 2 else call.record
            record.norms(None, norms[at], None if shown is None else shown[at])
    return tuple(found)


def _room_for_observers(call: Call, cell: Loaded) -> tuple[Tensor | None, Tensor | None]:
    """Norms (D, T·B, S) of the gradients of the states, and where they are wanted these, (D, T·B, S, H)."""
    if call.record is None:
        return None, None
    rows = call.x.shape[0] * call.x.shape[1]
    make = torch.empty if call.lengths is None else torch.zeros
    norms = make((call.direction_count, rows, cell.states), dtype=torch.float64, device=_CPU)
    if not call.record.wants_values:
        return norms, None
    return norms, torch.zeros((*norms.shape, call.hidden_size), dtype=call.x.dtype, device=_CPU)


def _sequence(tensor: Tensor | None) -> tuple[int, int, int, int]:
    if tensor is None:
        return _NO_SEQUENCE
    steps, batch, width = tensor.shape
    step, row, _ = tensor.stride()
    return tensor.data_ptr(), (steps - 1) * step + (batch - 1) * row + width, step, row


def _flat(tensor: Tensor | None) -> tuple[int, int]:
    return _NO_DENSE if tensor is None else (tensor.data_ptr(), tensor.numel())


def _weights(call: Call) -> Sequence[Tensor]:
    """Those that the engine reads: the call's own, or the copies that it holds."""
    return call.parameters if call.packed is None else call.packed.values(call.parameters)


def _address(call: Call, state: Tensor) -> int:
    """Of a state that is given; none is zero."""
    address = state.data_ptr()
    if not address:
        plain(call)
    return address


def _steps(call: Call) -> tuple[int, ...]:
    """Lengths and resets."""
    lengths, reset = call.lengths, call.reset
    of_lengths = _flat(lengths)
    if reset is None:
        return (*of_lengths, *_NO_SEQUENCE)
    step, row = reset.stride()
    count = (reset.shape[0] - 1) * step + (reset.shape[1] - 1) * row + 1
    return (*of_lengths, reset.data_ptr(), count, step, row)


@contextmanager
def phase_seconds() -> Iterator[array]:
    """Within a ``with`` block, the seconds that the engine spends in each phase of all calls."""
    global _seconds
    _seconds = array("d", [0.0] * 5)
    try:
        yield _seconds
    finally:
        _seconds = None


def _run(
    backward: bool,
    call: Call,
    cell: Loaded,
    buffers: Sequence[int],
    states: Sequence[int],
    parameters: Sequence[int],
    every: int,
) -> None:
    """Run a pass of a call.

    Raises:
        ValueError: when a length is out of range.
        MemoryError: when there is no memory for the workspace.
    """
    steps, batch, width = call.x.shape
    shape = (call.x.element_size(), steps, batch, width, call.hidden_size, call.direction_count, call.layers)
    code, field = execute(
        backward, cell, shape, call.directions == "reverse", every, buffers, states, parameters, call.packed
    )
    if code == interface.BAD_LENGTH:
        call.check_values()  # tells which
    if code == interface.BAD_BUFFER:
        plain(call)  # tells which tensor has no memory
        raise ValueError(f"{field}: its memory is smaller than its shape says")
    if code:
        raise RuntimeError(f"the fused CPU kernels returned code {code}; install gatewise again")


def execute(
    backward: bool,
    cell: Loaded,
    shape: tuple[int, int, int, int, int, int, int],
    reverse: bool,
    every: int,
    buffers: Sequence[int],
    states: Sequence[int],
    parameters: Sequence[int],
    packed: PackedWeights | None,
) -> tuple[int, str]:
    """Fill in the struct of a call, and call until everything is done.

    Arguments:
        backward: which pass.
        cell: its program.
        shape: bytes of a number, T, B, I, H, D and L.
        reverse: whether a single direction reads from the end.
        every: steps between checkpoints, or 0.
        buffers: the words from ``x`` to ``state_gradients``.
        states, parameters: the words of these.
        packed: where packed weights are held, or None.

    Returns:
        The engine's last code, and the name of the field that it complains of.
    """
    slices, found = get_num_threads(), engine()
    workers = 1 if slices == 1 else threads()
    own = workspace.take()
    count = WORDS + len(states) + len(parameters)
    words = array("q", bytes(8 * count))
    address = words.buffer_info()[0]
    _packing(count)(
        words,
        0,
        _SIZE,
        found.abi,
        *shape,
        reverse,
        slices,
        workers,
        CHUNK,
        every,
        SHARE_SMALL,
        0,
        0,
        0,
        0,
        0,
        cell.address,
        0 if workers == 1 else pool_address(),
        0 if _seconds is None else _seconds.buffer_info()[0],
        own.address,
        own.size,
        0,
        0,
        *buffers,
        address + _SIZE,
        address + _SIZE + 8 * len(states),
        *states,
        *parameters,
    )
    memory = None
    if packed is not None:
        memory = _hold(words, packed, shape[0], backward, packed.last_layout(shape[0], backward))
    function = found.backward if backward else found.forward
    try:
        while code := function(address):
            if code == interface.NEEDS_WORKSPACE:
                own = workspace.larger(words[_NEEDED])
                words[_WORKSPACE], words[_WORKSPACE + 1] = own.address, own.size
            elif code == interface.NEEDS_WEIGHTS and packed is not None:
                memory = _hold(words, packed, shape[0], backward, words[_LAYOUT])
            elif code != interface.MORE:
                return code, found.fields[words[_NEEDED]] if code == interface.BAD_BUFFER else ""
    finally:
        workspace.give_back(own)
    if packed is not None and memory is not None:
        packed.keep(shape[0], backward, words[_LAYOUT], memory)
    return 0, ""


def _hold(words: array, packed: PackedWeights, number: int, backward: bool, layout: int) -> Workspace | None:
    """Let a call use packed weights of a layout, or pack them into new memory, which is returned."""
    kept = packed.get(number, backward, layout)
    memory = kept if kept is not None else workspace.larger(words[_NEEDED])
    words[_WEIGHTS], words[_WEIGHTS + 1] = memory.address or words.buffer_info()[0], memory.size
    words[_LAYOUT], words[_LAYOUT + 1] = layout, kept is not None
    return None if kept is not None else memory


@lru_cache(maxsize=256)
def _packing(count: int) -> Callable[..., None]:
    """Writes so many words to a buffer; a few times as fast as an array is made of them."""
    return Struct(f"{count}q").pack_into
