"""The operators ``gatewise::recurrent`` and ``gatewise::recurrent_backward``, opaque to compilers and exporters.

Eager code does not use them. A cell is passed as its canonical text, so that a fresh process can load and run an
exported program. Dispatch and value checks happen inside.

With gradients ``recurrent`` becomes ``recurrent_in_training``, which passes the values saved by the CPU engine to the
backward operator, in tensors whose shapes follow from those of the arguments. Other backends are rerun in the backward
pass. Exported programs contain ``recurrent``.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

import torch
from torch import Tensor

import gatewise
from gatewise.kernels import cpu
from gatewise.kernels.backend import differentiates
from gatewise.kernels.bfloat16 import is_narrow
from gatewise.kernels.call import Call, Directions, cell_of_text
from gatewise.kernels.checkpointing import recomputed
from gatewise.kernels.differentiable import differentiable_gradients
from gatewise.kernels.dispatch import BACKENDS, choose, run_on
from gatewise.kernels.masks import Masks
from gatewise.kernels.observers import check_not_watched
from gatewise.kernels.weight_drop import MatrixMask, product

_ARGUMENTS = (
    "Tensor x, Tensor[] initial, Tensor[] parameters, Tensor? lengths, Tensor? reset, Tensor? mask_seed, "
    "str cell, str directions, str masks, bool sequences, str? products, str backend, int? checkpoint_every"
)
_SCHEMAS = {
    "recurrent": f"({_ARGUMENTS}, str made_by) -> (Tensor, Tensor[])",
    "recurrent_in_training": f"({_ARGUMENTS}, bool keep) -> (Tensor, Tensor[], Tensor[])",
    # `kept` is the output and the saved values, or empty to rerun the forward pass.
    "recurrent_backward": (
        f"(Tensor output_gradient, Tensor[] final_gradients, {_ARGUMENTS}, bool[] needed, Tensor[] kept) -> Tensor[]"
    ),
    "dropped_weight": "(Tensor weight, Tensor seed, int stream, int step, str name, float p) -> Tensor",
}
# Part of the cache key of graphs that torch caches on disk: identifies the schemas of the other operators.
MADE_BY = f"gatewise {gatewise.__version__} {sha256(repr(_SCHEMAS).encode()).hexdigest()[:16]}"
_LIBRARY = torch.library.Library("gatewise", "FRAGMENT")  # its registrations live as long as it does
for _name, _schema in _SCHEMAS.items():
    _LIBRARY.define(_name + _schema)


def recurrent(
    x: Tensor,
    initial: Sequence[Tensor],
    parameters: Sequence[Tensor],
    lengths: Tensor | None,
    reset: Tensor | None,
    mask_seed: Tensor | None,
    cell: str,
    directions: Directions,
    masks: str,
    sequences: bool,
    products: str | None,
    backend: str,
    checkpoint_every: int | None,
) -> tuple[Tensor, list[Tensor]]:
    """Output (T, B, D·H) and final states, each (D, B, H), with the `Call.sequences`, through the operator."""
    return torch.ops.gatewise.recurrent(
        x,
        initial,
        parameters,
        lengths,
        reset,
        mask_seed,
        cell,
        directions,
        masks,
        sequences,
        products,
        backend,
        checkpoint_every,
        MADE_BY,
    )


def dropped(weight: Tensor, mask: MatrixMask) -> Tensor:
    """A weight with some dropped, through an operator."""
    return torch.ops.gatewise.dropped_weight(weight, *mask)


def _call(
    x: Tensor,
    initial: Sequence[Tensor],
    parameters: Sequence[Tensor],
    lengths: Tensor | None,
    reset: Tensor | None,
    mask_seed: Tensor | None,
    cell: str,
    directions: Directions,
    masks: str,
    sequences: bool,
    products: Any,
) -> Call:
    call = Call(
        cell_of_text(cell),
        x,
        tuple(initial),
        tuple(parameters),
        lengths,
        reset,
        directions,
        sequences=sequences,
        products=products,
    )
    if masks:
        call.masks = Masks.from_text(mask_seed, masks)
    _check_shapes(call)
    return call


def _check_shapes(call: Call) -> None:
    """Check the arguments of a recorded program.

    Raises:
        ValueError: for a tensor whose shape or dtype does not match the cell and the input.
    """
    steps, batch, width = call.x.shape
    hidden, projection, directions = call.hidden_size, call.projection_size, call.direction_count
    wanted: list[tuple[str, Tensor, tuple[Any, ...]]] = [
        (f"initial {name}", state, (directions, batch, size))
        for name, state, size in zip(call.cell.states, call.initial, call.state_sizes, strict=True)
    ]
    groups, heads = call.cell.groups * directions, call.heads
    shapes = [call.cell.parameter_shape(group, width, hidden, projection, heads) for group in groups]
    wanted += [(group, one, shape) for group, one, shape in zip(groups, call.parameters, shapes, strict=True)]
    wanted += [("lengths", call.lengths, (batch,))] if call.lengths is not None else []
    wanted += [("reset", call.reset, (steps, batch))] if call.reset is not None else []
    for name, tensor, shape in wanted:
        if len(tensor.shape) != len(shape) or any(a != b for a, b in zip(tensor.shape, shape, strict=True)):
            raise ValueError(f"gatewise::recurrent: {name}: expected shape {shape}, got {tuple(tensor.shape)}")
        dtype = {"lengths": torch.int64, "reset": torch.bool}.get(name, call.x.dtype)
        if tensor.dtype != dtype:
            raise ValueError(f"gatewise::recurrent: {name}: expected {dtype}, got {tensor.dtype}")
    if isinstance(steps, int) and steps == 0:
        raise ValueError("gatewise::recurrent: x: expected at least one step, got T=0")


@contextmanager
def _autograd_inside() -> Iterator[None]:
    """Let autograd record inside an operator, which the dispatcher runs with autograd's keys excluded."""
    excluded = torch._C._dispatch_tls_local_exclude_set()
    for key in _AUTOGRAD_KEYS:
        excluded = excluded.remove(key)
    with torch._C._ForceDispatchKeyGuard(torch._C._dispatch_tls_local_include_set(), excluded):
        yield


_AUTOGRAD_KEYS = (
    torch._C.DispatchKey.AutogradFunctionality,
    torch._C.DispatchKey.AutogradOther,
    torch._C.DispatchKey.AutogradNestedTensor,
    # Without it the gradient of a base ignores writes into its views, as in pad_packed_sequence.
    torch._C.DispatchKey.ADInplaceOrView,
)


@torch.library.impl("gatewise::recurrent", "default")
def _forward(*arguments: Any) -> tuple[Tensor, list[Tensor]]:
    *of_call, backend, _, _ = arguments
    call = _call(*of_call)
    check_not_watched(call.parameters)
    call.check_values()
    return _separate(call, *run_on(choose(call, backend).name, call))


@torch.library.impl("gatewise::dropped_weight", "default")
def _dropped_weight(weight: Tensor, *mask: Any) -> Tensor:
    return product(weight, MatrixMask(*mask))


@torch.library.register_fake("gatewise::dropped_weight")
def _fake_dropped_weight(weight: Tensor, *_: Any) -> Tensor:
    return weight.new_empty(weight.shape)


def _save_mask(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    _, seed, *ctx.rest = inputs
    ctx.save_for_backward(seed)


def _gradient_of_dropped(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
    # The same product, which is linear.
    return torch.ops.gatewise.dropped_weight(upstream, *ctx.saved_tensors, *ctx.rest), *[None] * 5


torch.library.register_autograd("gatewise::dropped_weight", _gradient_of_dropped, setup_context=_save_mask)


@torch.library.impl(_LIBRARY, "recurrent", "Autograd")
def _differentiable(*arguments: Any) -> tuple[Tensor, list[Tensor]]:
    *of_call, backend, every, _ = arguments
    call = _call(*of_call)
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in call.tensors):
        # What a call of bfloat16 saves is not of its type.
        keep = every is None and backend in ("auto", "cpu") and not is_narrow(call) and cpu.refusal(call) is None
        output, finals, _ = torch.ops.gatewise.recurrent_in_training(*arguments[:-1], keep)
        return output, finals
    with torch._C._AutoDispatchBelowAutograd():
        return torch.ops.gatewise.recurrent(*arguments)


@torch.library.impl("gatewise::recurrent_in_training", "default")
def _forward_in_training(*arguments: Any) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    *of_call, backend, _, keep = arguments
    call = _call(*of_call)
    check_not_watched(call.parameters)
    call.check_values()
    runs = BACKENDS[choose(call, backend).name]
    kept: list[Tensor] = []
    if keep and differentiates(runs):
        call.fixed_shapes = True
        output, finals, (_, *kept) = runs.forward(call, True)
    else:
        with torch.enable_grad():
            output, finals, _ = runs.forward(call.with_tensors(tuple(one.detach() for one in call.tensors)), False)
        if keep:  # a cached compiled graph, loaded where there is no engine
            kept = [call.x.new_empty(shape) for shape in cpu.saved_shapes(call)]
    return *_separate(call, output, finals), kept


def _separate(call: Call, output: Tensor, finals: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """Results of an operator, which must not share memory with its arguments or each other."""
    taken = {tensor.untyped_storage().data_ptr() for tensor in (output, *call.tensors)}
    separate: list[Tensor] = []
    for final in finals:
        own = final.clone() if final.untyped_storage().data_ptr() in taken else final
        taken.add(own.untyped_storage().data_ptr())
        separate.append(own.contiguous())
    return output.contiguous(), separate


@torch.library.impl("gatewise::recurrent_backward", "default")
def _backward(output_gradient: Tensor, final_gradients: Sequence[Tensor], *arguments: Any) -> list[Tensor]:
    *of_call, backend, every, needed, kept = arguments
    call = _call(*of_call)
    call.check_values()
    upstream, name = (output_gradient, *final_gradients), choose(call, backend).name
    if kept and name == "cpu":
        gradients = cpu.backward(call, tuple(kept), upstream, needed)
    else:
        with _autograd_inside():
            call.checkpoint_every = every
            gradients = recomputed(call, name, upstream, needed)
    return [
        torch.zeros_like(tensor, memory_format=torch.contiguous_format) if gradient is None else gradient.contiguous()
        for tensor, gradient, wanted in zip(call.tensors, gradients, needed, strict=True)
        if wanted
    ]


# Of the arguments after the initial states.
_SEQUENCES = 7


@torch.library.register_fake("gatewise::recurrent")
def _fake_forward(x: Tensor, initial: Sequence[Tensor], *arguments: Any) -> tuple[Tensor, list[Tensor]]:
    steps, batch, _ = x.shape
    directions, _, width = initial[0].shape
    output, finals = x.new_empty((steps, batch, directions * width)), [x.new_empty(state.shape) for state in initial]
    if arguments[_SEQUENCES]:
        finals += [x.new_empty((steps, batch, directions * state.shape[-1])) for state in initial[1:]]
    return output, finals


@torch.library.register_fake("gatewise::recurrent_in_training")
def _fake_forward_in_training(*arguments: Any) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    *of_forward, keep = arguments
    call = _call(*of_forward[:-2])
    return *_fake_forward(*of_forward), [call.x.new_empty(shape) for shape in cpu.saved_shapes(call)] if keep else []


@torch.library.register_fake("gatewise::recurrent_backward")
def _fake_backward(
    output_gradient: Tensor,
    final_gradients: Sequence[Tensor],
    x: Tensor,
    initial: Sequence[Tensor],
    parameters: Sequence[Tensor],
    *arguments: Any,
) -> list[Tensor]:
    *_, needed, _ = arguments
    return [
        tensor.new_empty(tensor.shape)
        for tensor, wanted in zip((x, *initial, *parameters), needed, strict=True)
        if wanted
    ]


def _save(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    x, initial, parameters, lengths, reset, seed, *rest, keep = inputs
    values, _, kept = output
    ctx.mark_non_differentiable(*kept)
    ctx.save_for_backward(x, *initial, *parameters, lengths, reset, seed, *((values, *kept) if keep else ()))
    ctx.states, ctx.groups, ctx.rest = len(initial), len(parameters), rest


def _forward_gradient(
    ctx: Any, output_gradient: Tensor, final_gradients: list[Tensor], _: list[Tensor]
) -> tuple[Any, ...]:
    states, groups = ctx.states, ctx.groups
    x, *tensors = ctx.saved_tensors  # unpacked once, as torch.utils.checkpoint requires
    lengths, reset, seed, *kept = tensors[states + groups :]
    wanted_x, wanted_initial, wanted_parameters, *_rest = ctx.needs_input_grad
    needed = [wanted_x, *wanted_initial, *wanted_parameters]
    found = iter(
        torch.ops.gatewise.recurrent_backward(
            output_gradient,
            final_gradients,
            x,
            tensors[:states],
            tensors[states : states + groups],
            lengths,
            reset,
            seed,
            *ctx.rest,
            needed,
            kept,
        )
    )
    gradients = [next(found) if wanted else None for wanted in needed]
    return (
        gradients[0],
        gradients[1 : 1 + states],
        gradients[1 + states :],
        None,
        None,
        None,
        *[None] * len(ctx.rest),
        None,
    )


torch.library.register_autograd("gatewise::recurrent_in_training", _forward_gradient, setup_context=_save)


def _save_backward(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    output_gradient, final_gradients, x, initial, parameters, lengths, reset, seed, *rest, needed, kept = inputs
    ctx.save_for_backward(output_gradient, *final_gradients, x, *initial, *parameters, lengths, reset, seed)
    ctx.states, ctx.results, ctx.rest, ctx.needed, ctx.kept = (
        len(initial),
        len(final_gradients),
        rest,
        needed,
        len(kept),
    )


def _second_gradient(ctx: Any, upstream: list[Tensor]) -> tuple[Any, ...]:
    """The gradient of the gradient, by the reference."""
    output_gradient, *saved = ctx.saved_tensors
    final_gradients, saved = saved[: ctx.results], saved[ctx.results :]
    x, *tensors, lengths, reset, seed = saved
    initial, parameters = tensors[: ctx.states], tensors[ctx.states :]
    with torch.enable_grad():
        call = _call(x, initial, parameters, lengths, reset, seed, *ctx.rest[:5])
        first = differentiable_gradients(call, (output_gradient, *final_gradients), ctx.needed)
    pairs = [
        (gradient, above)
        for gradient, above in zip(
            (g for g, wanted in zip(first, ctx.needed, strict=True) if wanted), upstream, strict=True
        )
        if gradient is not None and gradient.requires_grad and above is not None
    ]
    wanted = [tensor for tensor in (output_gradient, *final_gradients, *call.tensors) if tensor.requires_grad]
    found = iter(
        torch.autograd.grad(
            [gradient for gradient, _ in pairs],
            wanted,
            [above for _, above in pairs],
            create_graph=torch.is_grad_enabled(),
            allow_unused=True,
        )
        if pairs and wanted
        else [None] * len(wanted)
    )
    results = [
        next(found) if tensor.requires_grad else None for tensor in (output_gradient, *final_gradients, *call.tensors)
    ]
    of_output, of_finals, of_call = results[0], results[1 : 1 + ctx.results], results[1 + ctx.results :]
    return (
        of_output,
        of_finals,
        of_call[0],
        of_call[1 : 1 + ctx.states],
        of_call[1 + ctx.states :],
        None,
        None,
        None,
        *[None] * len(ctx.rest),
        None,
        [None] * ctx.kept,  # functions of the arguments, whose gradients are complete
    )


torch.library.register_autograd("gatewise::recurrent_backward", _second_gradient, setup_context=_save_backward)
