"""Fast path: skips validation and dispatch for calls that need neither; the computation is the same."""

from typing import Any

from torch import Tensor, float32, is_grad_enabled
from torch._C import _is_any_autocast_enabled, _len_torch_function_stack
from torch._C._functorch import peek_interpreter_stack
from torch.autograd import forward_ad
from torch.compiler import is_compiling

from gatewise.kernels import (
    AUTO,
    Call,
    PackedWeights,
    accepts_on_cpu,
    products_switched,
    run_on_cpu,
    runs_on_cpu,
)
from gatewise.kernels.masks import Masks
from gatewise.kernels.observers import is_watched, record_of
from gatewise.kernels.tracing import is_traced
from gatewise.layers.base import RecurrentBase
from gatewise.layers.validation import Inputs, State

_BACKENDS = ("auto", "cpu")


def nothing_recorded() -> bool:
    """Whether no mode, transform, tracer, compiler or autocast intercepts operations on tensors."""
    return not (
        is_compiling()
        or _len_torch_function_stack()
        or is_traced()
        or peek_interpreter_stack()
        or forward_ad._current_level >= 0
        or _is_any_autocast_enabled()
    )


def plain_inputs(layer: RecurrentBase, x: Tensor, hx: State | None, lengths: object, reset: object) -> Inputs | None:
    """The arguments of a call on the fused CPU kernels, as returned by validation.

    Returns None for anything unusual; the general path then validates and reports.

    Args:
        layer: the layer.
        x: the input (T, B, I).
        hx, lengths, reset: as for `Recurrent.forward`.
    """
    if not nothing_recorded() or layer.backend not in _BACKENDS:
        return None
    if not runs_on_cpu(layer.running_cell):
        return None
    initial, weights = _states(layer, hx), _weights(layer)
    if initial is None or not _accepts(layer, x, initial, lengths, reset, weights):
        return None
    return Inputs(x, initial, lengths, reset, batched=True, weights=weights)  # pyright: ignore[reportArgumentType]


def plain_call(layer: RecurrentBase, index: int, x: Tensor, inputs: Inputs, masks: Masks | None) -> Call:
    """The call of one layer of a stack, with the weights found by `plain_inputs`."""
    assert inputs.weights is not None
    initial, weights = inputs.initial, inputs.weights
    if layer.num_layers > 1:
        count = len(layer._names[index])  # the same in every layer
        weights = weights[index * count : (index + 1) * count]
        first = index * layer._direction_count
        initial = tuple([one[first : first + layer._direction_count] for one in initial])
    every = layer.checkpoint_every
    record = record_of(layer, index)
    call = Call(
        layer.running_cell,
        x,
        initial,
        weights,
        inputs.lengths,
        inputs.reset,
        layer._directions,
        record,
        AUTO if isinstance(every, str) else every,
        packed=layer._packed_weights(index),
        masks=masks,
        sequences=layer._returns_sequences(index),
        products=products_switched(x.dtype, "cpu"),
    )
    return call if record is None else call.with_states()  # observers see the initial state


def plain_stack(layer: RecurrentBase, inputs: Inputs, masks: Masks | None) -> Call | None:
    """The call of a whole stack, if there are no gradients, observers or operations between layers."""
    if (
        layer.num_layers == 1
        or inputs.weights is None
        or is_grad_enabled()
        or (layer.dropout and layer.training)
        or layer.merge not in ("concat", None)
        or layer.return_states
        or is_watched(layer)
    ):
        return None
    return Call(
        layer.running_cell,
        inputs.x,
        inputs.initial,
        inputs.weights,
        inputs.lengths,
        inputs.reset,
        layer._directions,
        packed=layer._packed_weights(-1),
        layers=layer.num_layers,
        masks=masks,
        products=products_switched(inputs.x.dtype, "cpu"),
    )


def plain_step(
    layer: RecurrentBase,
    x_t: Tensor,
    state: State | None,
    reset: Tensor | None,
    packed: PackedWeights | None = None,
    finals: tuple[Tensor, ...] | None = None,
    masks: Masks | None = None,
) -> tuple[Tensor, State] | None:
    """Output and state, as `Recurrent.step` returns them; None for anything unusual.

    Args:
        layer: the layer, in one direction.
        x_t, state, reset: as for `Recurrent.step`.
        packed: packed weights of the whole stack, for a layer that is not frozen.
        finals: tensors to write the new state to; None allocates them.
        masks: those of the step.
    """
    if (
        is_grad_enabled()
        or not nothing_recorded()
        or x_t.dim() > 2
        or layer.backend not in _BACKENDS
        or layer._drops_weights
        or not runs_on_cpu(layer.running_cell)
        or is_watched(layer)
        or (layer.dropout and layer.training and layer.num_layers > 1)
    ):
        return None
    if layer._packed is not None:
        packed = layer._packed[-1]
    initial = _states(layer, state)
    copies = None if packed is None else packed.copies(x_t.dtype)
    weights = _weights(layer) if copies is None else copies
    if initial is None or not _accepts(layer, x_t, initial, None, reset, weights):
        return None
    call = Call(
        layer.running_cell,
        x_t,
        initial,
        weights,
        None,
        reset,
        "forward",
        packed=packed,
        layers=layer.num_layers,
        finals=finals,
        masks=masks,
        products=products_switched(x_t.dtype, "cpu"),
    )
    output, states = run_on_cpu(call)
    return output, states[0] if len(states) == 1 else states


def _states(layer: RecurrentBase, state: State | None) -> tuple[Any, ...] | None:
    """The initial states, an empty tuple for zeros; None if their number is wrong."""
    if state is None:
        return ()
    count = len(layer.cell.states)
    if type(state) is tuple:
        return state if len(state) == count > 1 else None
    return (state,) if count == 1 else None


def _weights(layer: RecurrentBase) -> tuple[Any, ...]:
    """The registered weights of all layers, in order."""
    find = layer._parameters.get
    return tuple([find(name) for name in layer._all_names])


def _accepts(
    layer: RecurrentBase,
    x: Tensor,
    initial: tuple[Any, ...],
    lengths: object,
    reset: object,
    weights: tuple[Any, ...],
) -> bool:
    """Whether these are plain CPU tensors of one dtype and of matching shapes."""
    rows = layer.num_layers * layer._direction_count
    packed = layer._packed
    precision = None if packed is None else packed[0].precision
    if precision is not None and (x.dtype is not float32 or (precision == "int8" and is_grad_enabled())):
        return False  # dispatch gives the reason
    return accepts_on_cpu(
        x, initial, lengths, reset, weights, layer._all_shapes, layer.input_size, layer._state_sizes, rows
    )
