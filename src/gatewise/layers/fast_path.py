"""Fast path: skips validation and dispatch for calls that need neither; the computation is the same."""

from typing import Any

from torch import Tensor, float32, is_grad_enabled
from torch._C import _is_any_autocast_enabled, _len_torch_function_stack
from torch._C._functorch import peek_interpreter_stack
from torch.autograd import forward_ad
from torch.compiler import is_dynamo_compiling

from gatewise.kernels import AUTO, Call, PackedWeights, engine, forward_on_cpu, products_switched, runs_on_cpu
from gatewise.kernels.masks import Masks
from gatewise.kernels.observers import is_watched, record_of
from gatewise.kernels.tracing import is_traced
from gatewise.layers.base import RecurrentBase
from gatewise.layers.validation import Inputs, State

_BACKENDS = ("auto", "cpu")


def nothing_recorded() -> bool:
    """Whether no mode, transform, tracer, compiler or autocast intercepts operations on tensors."""
    return not (
        is_dynamo_compiling()  # other compilers trace, by modes
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
    if not nothing_recorded() or layer.backend not in _BACKENDS or not runs_on_cpu(layer.running_cell):
        return None
    initial = () if hx is None else _states(layer, hx)
    weights = None if initial is None else _accepted(layer, x, initial, lengths, reset)
    if weights is None:
        return None
    return Inputs(x, initial, lengths, reset, True, None, None, weights)  # pyright: ignore[reportArgumentType]


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
        False,  # by position, in half the time
        layer._packed_weights(index),
        1,
        None,
        None,
        masks,
        layer._returns_sequences(index),
        products_switched(x.dtype, "cpu"),
    )
    return call if record is None else call.with_states()  # observers see the initial state


def plain_stack(layer: RecurrentBase, inputs: Inputs, masks: Masks | None) -> Call | None:
    """The call of several layers at once, if there are no gradients, observers or operations between layers."""
    if (
        inputs.weights is None
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
    cell = layer.running_cell
    if (
        is_grad_enabled()
        or not nothing_recorded()
        or x_t.dim() > 2
        or layer.backend not in _BACKENDS
        or layer._drops_weights
        or not runs_on_cpu(cell)
        or is_watched(layer)
        or (layer.dropout and layer.training and layer.num_layers > 1)
    ):
        return None
    if layer._packed is not None:
        packed = layer._packed[-1]
    initial = () if state is None else _states(layer, state)
    copies = None if packed is None else packed.copies(x_t.dtype)
    weights = None if initial is None else _accepted(layer, x_t, initial, None, reset, copies)
    if initial is None or weights is None:
        return None
    call = Call(
        cell,
        x_t,
        initial,
        weights,
        None,
        reset,
        "forward",
        None,  # by position, in half the time
        None,
        False,
        packed,
        layer.num_layers,
        finals,
        None,
        masks,
        False,
        products_switched(x_t.dtype, "cpu"),
    )
    output, states, _ = forward_on_cpu(call, False)  # of float32 or float64
    return output, states[0] if len(states) == 1 else states


def _states(layer: RecurrentBase, state: State) -> tuple[Any, ...] | None:
    """The initial states; None if their number is wrong."""
    count = len(layer.cell.states)
    if type(state) is tuple:
        return state if len(state) == count > 1 else None
    return (state,) if count == 1 else None


def _accepted(
    layer: RecurrentBase,
    x: Tensor,
    initial: tuple[Any, ...],
    lengths: object,
    reset: object,
    copies: tuple[Tensor, ...] | None = None,
) -> tuple[Tensor, ...] | None:
    """The weights of all layers, or their packed copies; None unless all are plain CPU tensors that fit each other."""
    packed = layer._packed
    precision = None if packed is None else packed[0].precision
    if precision is not None and (x.dtype is not float32 or (precision == "int8" and is_grad_enabled())):
        return None  # dispatch gives the reason
    names, shapes = (layer._all_names, layer._all_shapes) if copies is None else ((), ())  # which fitted when copied
    found = engine().binding.accepts(
        x,
        initial,
        lengths,
        reset,
        layer._parameters,
        names,
        shapes,
        layer.input_size,
        layer._state_sizes,
        layer._state_rows,
    )
    return found if found is None or copies is None else copies
