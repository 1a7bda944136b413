"""Fast path: skips validation and dispatch for calls that need neither. What runs is the same."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, empty_like, is_grad_enabled, nn, strided
from torch._C import _is_any_autocast_enabled, _len_torch_function_stack
from torch._C._functorch import peek_interpreter_stack
from torch.autograd import forward_ad
from torch.compiler import is_compiling

from gatewise.kernels import AUTO, Call, StepSizes, runs_on_cpu, step_on_cpu, weight_words
from gatewise.kernels.recording import is_watched, record_of
from gatewise.kernels.tracing import is_traced
from gatewise.layers.base import RecurrentBase
from gatewise.layers.validation import Inputs, State

_BACKENDS = ("auto", "cpu")
_PLAIN = (Tensor, nn.Parameter)
Fits = Callable[[Tensor, torch.dtype, Sequence[int]], bool]


def _is_plain(tensor: Tensor, dtype: torch.dtype, shape: Sequence[int]) -> bool:
    """Whether a tensor is of no subclass, strided, on the CPU, and of this form."""
    return (
        type(tensor) in _PLAIN
        and tensor.dtype is dtype
        and tensor.shape == shape
        and tensor.is_cpu
        and tensor.layout is strided
    )


def _is_dense(tensor: Tensor, dtype: torch.dtype, shape: Sequence[int]) -> bool:
    """The same, and its elements follow each other in memory as they are."""
    return _is_plain(tensor, dtype, shape) and tensor.is_contiguous() and not tensor.is_neg()


def nothing_recorded() -> bool:
    """Whether operations reach plain tensors as they are: no mode, transform, tracer or compiler, and no autocast."""
    return not (
        is_compiling()
        or _len_torch_function_stack()
        or is_traced()
        or peek_interpreter_stack()
        or forward_ad._current_level >= 0
        or _is_any_autocast_enabled()
    )


def plain_inputs(layer: RecurrentBase, x: Tensor, hx: State | None, lengths: object, reset: object) -> Inputs | None:
    """The arguments of a call on the fused CPU kernels as validation returns them.

    Returns None for anything unusual; the general path then validates and reports.

    Arguments:
        layer: the layer.
        x: the input, batched, time first.
        hx, lengths, reset: as for `Recurrent.forward`.
    """
    if (
        not nothing_recorded()
        or type(x) not in _PLAIN
        or x.dim() != 3
        or layer.backend not in _BACKENDS
        or not runs_on_cpu(layer.cell, dtype := x.dtype)
    ):
        return None
    steps, batch, width = shape = x.shape
    if width != layer.input_size or steps == 0 or not _is_plain(x, dtype, shape):
        return None
    initial: Any = ()
    if hx is not None:
        initial = hx if isinstance(hx, tuple) else (hx,)
        shape = (layer.num_layers * layer._direction_count, batch, layer.hidden_size)
        if len(initial) != len(layer.cell.states) or isinstance(hx, tuple) != (len(initial) > 1):
            return None
        for one in initial:
            if not _is_plain(one, dtype, shape):
                return None
    if lengths is not None and not (type(lengths) is Tensor and _is_plain(lengths, torch.int64, (batch,))):
        return None
    if reset is not None and not (type(reset) is Tensor and _is_plain(reset, torch.bool, (steps, batch))):
        return None
    weights = weights_of(layer, dtype, _is_plain)
    return None if weights is None else Inputs(x, initial, lengths, reset, batched=True, weights=weights)


def plain_call(layer: RecurrentBase, at: int, x: Tensor, inputs: Inputs) -> Call:
    """The call of one layer of a stack, whose weights `plain_inputs` has found."""
    assert inputs.weights is not None
    initial = inputs.initial
    if initial and layer.num_layers > 1:
        first = at * layer._direction_count
        initial = tuple([one[first : first + layer._direction_count] for one in initial])
    count = len(layer._names[at])  # the same in every layer
    every = layer.checkpoint_every
    record = record_of(layer, at)
    call = Call(
        layer.cell,
        x,
        initial,
        inputs.weights[at * count : (at + 1) * count],
        inputs.lengths,
        inputs.reset,
        layer._directions,
        record,
        AUTO if isinstance(every, str) else every,
        packed=None if layer._packed is None else layer._packed[at],
    )
    return call if record is None else call.with_states()  # observers see the initial state


def weights_of(layer: RecurrentBase, dtype: torch.dtype, fits: Fits) -> tuple[Tensor, ...] | None:
    """The weights of all layers of a stack, one after the other; None when one does not fit."""
    find = layer._parameters.get
    found: list[Tensor] = []
    for names, shapes in zip(layer._names, layer._shapes, strict=True):
        for name, shape in zip(names, shapes, strict=True):
            one = find(name)
            if one is None or not fits(one, dtype, shape):
                return None
            found.append(one)
    return tuple(found)


def dense_weights(layer: RecurrentBase, dtype: torch.dtype) -> tuple[Tensor, ...] | None:
    """The weights of all layers; None when one is unusual, or not dense."""
    return weights_of(layer, dtype, _is_dense)


def plain_stack(layer: RecurrentBase, inputs: Inputs) -> Call | None:
    """The call of a whole stack: without gradients, observers, and anything between the layers."""
    if (
        layer.num_layers == 1
        or inputs.weights is None
        or is_grad_enabled()
        or (layer.dropout and layer.training)
        or layer.merge not in ("concat", None)
        or is_watched(layer)
    ):
        return None
    packed = None if layer._packed is None else layer._packed[-1]
    return Call(
        layer.cell,
        inputs.x,
        inputs.initial,
        inputs.weights,
        inputs.lengths,
        inputs.reset,
        layer._directions,
        packed=packed,
        layers=layer.num_layers,
    )


def plain_step(layer: RecurrentBase, x_t: Tensor) -> bool:
    """Whether a step of this input needs neither gradients nor validation of it, and runs on the fused CPU kernels."""
    if not nothing_recorded() or is_grad_enabled() or type(x_t) not in _PLAIN:
        return False
    dtype, shape = x_t.dtype, x_t.shape
    return (
        len(shape) in (1, 2)
        and shape[-1] == layer.input_size
        and shape[0] > 0
        and _is_dense(x_t, dtype, shape)
        and layer.backend in _BACKENDS
        and runs_on_cpu(layer.cell, dtype)
        and not is_watched(layer)
        and not (layer.dropout and layer.training and layer.num_layers > 1)
    )


def fits_states(states: Any, count: int, shape: tuple[int, ...], dtype: torch.dtype) -> bool:
    """Whether states are plain dense tensors of the number and form that is expected."""
    return len(states) == count and all(_is_dense(one, dtype, shape) for one in states)


def fits_reset(reset: object, shape: tuple[int, ...]) -> bool:
    """Whether the flags of a step are a plain dense tensor."""
    return type(reset) is Tensor and _is_dense(reset, torch.bool, shape)


def sizes_of_step(layer: RecurrentBase, x_t: Tensor) -> StepSizes:
    """Those of a step of this input."""
    batch = x_t.shape[0] if x_t.dim() == 2 else 1
    return StepSizes(x_t.element_size(), batch, layer.input_size, layer.hidden_size, layer.num_layers)


def run_plain_step(
    layer: RecurrentBase, x_t: Tensor, state: State | None, reset: Tensor | None
) -> tuple[Tensor, State] | None:
    """Output and state, as `Recurrent.step` returns them; None for anything unusual."""
    if not plain_step(layer, x_t):
        return None
    count, dtype, rows = len(layer.cell.states), x_t.dtype, x_t.shape[:-1]
    shape = (layer.num_layers, *rows, layer.hidden_size)
    initial: Any = ()
    if state is not None:
        initial = state if isinstance(state, tuple) else (state,)
        if isinstance(state, tuple) != (count > 1) or not fits_states(initial, count, shape, dtype):
            return None
    if reset is not None and not fits_reset(reset, rows):
        return None
    packed = None if layer._packed is None else layer._packed[-1]
    words = None if packed is None else packed.words(dtype)
    if not words:
        weights = dense_weights(layer, dtype)
        if weights is None:
            return None
        words = weight_words(weights if packed is None else packed.values(weights))
    output = x_t.new_empty((*rows, layer.hidden_size))
    finals = tuple(map(empty_like, initial)) if initial else tuple([x_t.new_empty(shape) for _ in range(count)])
    sizes = sizes_of_step(layer, x_t)
    if not step_on_cpu(layer.cell, sizes, x_t, output, initial, finals, words, reset, packed):
        return None
    return output, finals if count > 1 else finals[0]
