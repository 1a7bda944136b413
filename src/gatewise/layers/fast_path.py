"""Fast path: skips validation and dispatch for calls that need neither. What runs is the same."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch._C import _get_tracing_state, _len_torch_dispatch_stack, _len_torch_function_stack
from torch._C._functorch import peek_interpreter_stack
from torch.autograd import forward_ad
from torch.compiler import is_compiling

from gatewise.kernels import AUTO, Call, runs_on_cpu, step_on_cpu
from gatewise.kernels.recording import is_watched, record_of
from gatewise.layers.validation import Inputs, State

if TYPE_CHECKING:
    from gatewise.layers.recurrent import Recurrent

_BACKENDS = ("auto", "cpu")
_PLAIN = (Tensor, nn.Parameter)


def nothing_recorded() -> bool:
    """Whether operations reach plain tensors as they are: no mode, transform, tracer or compiler, and no autocast."""
    return not (
        is_compiling()
        or _len_torch_function_stack()
        or _len_torch_dispatch_stack()
        or peek_interpreter_stack()
        or forward_ad._current_level >= 0
        or _get_tracing_state() is not None
        or torch.is_autocast_enabled("cpu")
    )


def plain_inputs(layer: "Recurrent", x: Tensor, hx: State | None, lengths: object, reset: object) -> Inputs | None:
    """The arguments of a call on the fused CPU kernels as validation returns them.

    Returns None for anything unusual; the general path then validates and reports.

    Arguments:
        layer: the layer.
        x: the input, batched, time first.
        hx, lengths, reset: as for `Recurrent.forward`.
    """
    weight = layer._parameters.get(layer._names[0][0])
    if (
        is_compiling()
        or type(x) not in _PLAIN
        or x.dim() != 3
        or not x.is_cpu
        or weight is None
        or x.dtype is not weight.dtype
        or layer.backend not in _BACKENDS
        or not nothing_recorded()
        or not runs_on_cpu(layer.cell, x.dtype)
    ):
        return None
    steps, batch, width = x.shape
    if width != layer.input_size or steps == 0:
        return None
    initial: Any = ()
    if hx is not None:
        initial = hx if isinstance(hx, tuple) else (hx,)
        shape = (layer.num_layers * layer._direction_count, batch, layer.hidden_size)
        if len(initial) != len(layer.cell.states) or isinstance(hx, tuple) != (len(initial) > 1):
            return None
        for one in initial:
            if type(one) not in _PLAIN or one.dtype is not x.dtype or one.shape != shape or not one.is_cpu:
                return None
    if lengths is not None and not (
        type(lengths) is Tensor and lengths.dtype is torch.int64 and lengths.is_cpu and lengths.shape == (batch,)
    ):
        return None
    if reset is not None and not (
        type(reset) is Tensor and reset.dtype is torch.bool and reset.is_cpu and reset.shape == (steps, batch)
    ):
        return None
    return Inputs(x, initial, lengths, reset, batched=True, is_plain=True)


def plain_call(layer: "Recurrent", at: int, x: Tensor, inputs: Inputs) -> Call | None:
    """The call of one layer of a stack; None when one of its weights is unusual."""
    find, dtype = layer._parameters.get, x.dtype
    parameters: list[Tensor] = []
    for name, shape in zip(layer._names[at], layer._shapes[at], strict=True):
        one = find(name)
        if one is None or type(one) not in _PLAIN or one.dtype is not dtype or one.shape != shape or not one.is_cpu:
            return None
        parameters.append(one)
    initial = inputs.initial
    if initial and layer.num_layers > 1:
        first = at * layer._direction_count
        initial = tuple([one[first : first + layer._direction_count] for one in initial])
    every = layer.checkpoint_every
    record = record_of(layer, at)
    call = Call(
        layer.cell,
        x,
        initial,
        tuple(parameters),
        inputs.lengths,
        inputs.reset,
        layer._directions,
        record,
        AUTO if isinstance(every, str) else every,
        packed=None if layer._packed is None else layer._packed[at],
    )
    return call if record is None else call.with_states()  # observers see the initial state


def plain_weights(layer: "Recurrent", dtype: torch.dtype) -> list[list[Tensor]] | None:
    """The weights of every layer of a stack, dense; None when one is unusual."""
    find = layer._parameters.get
    found: list[list[Tensor]] = []
    for names, shapes in zip(layer._names, layer._shapes, strict=True):
        own: list[Tensor] = []
        for name, shape in zip(names, shapes, strict=True):
            one = find(name)
            if (
                one is None
                or type(one) not in _PLAIN
                or one.dtype is not dtype
                or one.shape != shape
                or not one.is_contiguous()
                or not one.is_cpu
                or one.is_neg()
            ):
                return None
            own.append(one)
        found.append(own)
    return found


def plain_step(layer: "Recurrent", x_t: Tensor) -> bool:
    """Whether a step of this input needs neither gradients nor validation of it, and runs on the fused CPU kernels."""
    return (
        not is_compiling()
        and not torch.is_grad_enabled()
        and type(x_t) in _PLAIN
        and x_t.dim() in (1, 2)
        and x_t.is_contiguous()
        and x_t.is_cpu
        and not x_t.is_neg()
        and x_t.shape[-1] == layer.input_size
        and x_t.numel() > 0
        and layer.backend in _BACKENDS
        and nothing_recorded()
        and runs_on_cpu(layer.cell, x_t.dtype)
        and not is_watched(layer)
        and not (layer.dropout and layer.training and layer.num_layers > 1)
    )


def fits_states(states: Any, count: int, shape: tuple[int, ...], dtype: torch.dtype) -> bool:
    """Whether states are plain dense tensors of the number and form that is expected."""
    if len(states) != count:
        return False
    for one in states:
        if (
            type(one) not in _PLAIN
            or one.dtype is not dtype
            or one.shape != shape
            or not one.is_contiguous()
            or not one.is_cpu
            or one.is_neg()
        ):
            return False
    return True


def fits_reset(reset: object, shape: tuple[int, ...]) -> bool:
    """Whether the flags of a step are a plain dense tensor."""
    return (
        type(reset) is Tensor
        and reset.dtype is torch.bool
        and reset.shape == shape
        and reset.is_cpu
        and reset.is_contiguous()
    )


def run_plain_step(
    layer: "Recurrent", x_t: Tensor, state: State | None, reset: Tensor | None
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
    weights = plain_weights(layer, dtype)
    if weights is None:
        return None
    output = x_t.new_empty((*rows, layer.hidden_size))
    if initial:
        finals = tuple([torch.empty_like(one) for one in initial])
    else:
        finals = tuple([x_t.new_empty(shape) for _ in range(count)])
    if not step_on_cpu(layer.cell, x_t, output, initial, finals, weights, reset, layer._packed):
        return None
    return output, finals if count > 1 else finals[0]
