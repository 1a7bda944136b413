"""The operator pair ``gatewise::recurrent`` and ``gatewise::recurrent_backward``: opaque to compilers and exporters.

Eager code does not pass through them. A cell travels as its canonical text, so a fresh process can load an exported
program and run it. The choice of backend and the checks of values happen inside.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from gatewise.kernels.call import Call, Directions, cell_of_text
from gatewise.kernels.differentiable import differentiable_gradients
from gatewise.kernels.dispatch import choose, run_on
from gatewise.kernels.gradient import recomputed, run_in_training

_ARGUMENTS = (
    "Tensor x, Tensor[] initial, Tensor[] parameters, Tensor? lengths, Tensor? reset, "
    "str cell, str directions, str backend, int? checkpoint_every"
)
torch.library.define("gatewise::recurrent", f"({_ARGUMENTS}) -> (Tensor, Tensor[])")
torch.library.define(
    "gatewise::recurrent_backward",
    f"(Tensor output_gradient, Tensor[] final_gradients, {_ARGUMENTS}, bool[] needed) -> Tensor[]",
)


def recurrent(
    x: Tensor,
    initial: Sequence[Tensor],
    parameters: Sequence[Tensor],
    lengths: Tensor | None,
    reset: Tensor | None,
    cell: str,
    directions: Directions,
    backend: str,
    checkpoint_every: int | None,
) -> tuple[Tensor, list[Tensor]]:
    """Output (T, B, D·H) and final states, each (D, B, H), through the operator."""
    return torch.ops.gatewise.recurrent(
        x, initial, parameters, lengths, reset, cell, directions, backend, checkpoint_every
    )


def _call(
    x: Tensor,
    initial: Sequence[Tensor],
    parameters: Sequence[Tensor],
    lengths: Tensor | None,
    reset: Tensor | None,
    cell: str,
    directions: Directions,
) -> Call:
    return Call(cell_of_text(cell), x, tuple(initial), tuple(parameters), lengths, reset, directions)


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
    # Without it a write into a view, as in pad_packed_sequence, is lost to the gradient of what the view is of.
    torch._C.DispatchKey.ADInplaceOrView,
)


@torch.library.impl("gatewise::recurrent", "default")
def _forward(*arguments: Any) -> tuple[Tensor, list[Tensor]]:
    *of_call, backend, _ = arguments
    call = _call(*of_call)
    call.check_values()
    # Autograd is switched off here whatever the caller does; in a compiled graph these alone tell of training.
    training = any(tensor.requires_grad for tensor in call.tensors) and not torch.is_inference_mode_enabled()
    output, finals = (run_in_training if training else run_on)(choose(call, backend).name, call)
    # An operator returns tensors that share memory neither with its arguments nor with each other.
    taken = {tensor.untyped_storage().data_ptr() for tensor in (output, *call.tensors)}
    separate: list[Tensor] = []
    for final in finals:
        own = final.clone() if final.untyped_storage().data_ptr() in taken else final
        taken.add(own.untyped_storage().data_ptr())
        separate.append(own.contiguous())
    return output.contiguous(), separate


@torch.library.impl("gatewise::recurrent_backward", "default")
def _backward(output_gradient: Tensor, final_gradients: Sequence[Tensor], *arguments: Any) -> list[Tensor]:
    *of_call, backend, every, needed = arguments
    call = _call(*of_call)
    call.check_values()
    with _autograd_inside():
        gradients = recomputed(call, choose(call, backend).name, (output_gradient, *final_gradients), needed, every)
    return [
        torch.zeros_like(tensor, memory_format=torch.contiguous_format) if gradient is None else gradient.contiguous()
        for tensor, gradient, wanted in zip(call.tensors, gradients, needed, strict=True)
        if wanted
    ]


@torch.library.register_fake("gatewise::recurrent")
def _fake_forward(x: Tensor, initial: Sequence[Tensor], *arguments: Any) -> tuple[Tensor, list[Tensor]]:
    steps, batch, _ = x.shape
    directions, _, hidden = initial[0].shape
    return x.new_empty((steps, batch, directions * hidden)), [x.new_empty((directions, batch, hidden)) for _ in initial]


@torch.library.register_fake("gatewise::recurrent_backward")
def _fake_backward(
    output_gradient: Tensor,
    final_gradients: Sequence[Tensor],
    x: Tensor,
    initial: Sequence[Tensor],
    parameters: Sequence[Tensor],
    *arguments: Any,
) -> list[Tensor]:
    needed = arguments[-1]
    return [
        tensor.new_empty(tensor.shape)
        for tensor, wanted in zip((x, *initial, *parameters), needed, strict=True)
        if wanted
    ]


def _remember(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    x, initial, parameters, lengths, reset, *rest = inputs
    ctx.save_for_backward(x, *initial, *parameters, lengths, reset)
    ctx.states, ctx.rest = len(initial), rest


def _recall(ctx: Any) -> tuple[Any, ...]:
    x, *tensors, lengths, reset = ctx.saved_tensors
    return x, tensors[: ctx.states], tensors[ctx.states :], lengths, reset


def _forward_gradient(ctx: Any, output_gradient: Tensor, final_gradients: list[Tensor]) -> tuple[Any, ...]:
    x, initial, parameters, lengths, reset = _recall(ctx)
    needed = [tensor.requires_grad for tensor in (x, *initial, *parameters)]
    found = iter(
        torch.ops.gatewise.recurrent_backward(
            output_gradient, final_gradients, x, initial, parameters, lengths, reset, *ctx.rest, needed
        )
    )
    gradients = [next(found) if wanted else None for wanted in needed]
    states = ctx.states
    return (
        gradients[0],
        gradients[1 : 1 + states],
        gradients[1 + states :],
        None,
        None,
        *[None] * len(ctx.rest),
    )


torch.library.register_autograd("gatewise::recurrent", _forward_gradient, setup_context=_remember)


def _remember_backward(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    output_gradient, final_gradients, *of_forward, needed = inputs
    _remember(ctx, tuple(of_forward), None)
    ctx.save_for_backward(output_gradient, *final_gradients, *ctx.to_save)
    ctx.needed = needed


def _second_gradient(ctx: Any, upstream: list[Tensor]) -> tuple[Any, ...]:
    """The gradient of the gradient: that of the reference's, which is a graph of ordinary operations."""
    output_gradient, *saved = ctx.saved_tensors
    final_gradients, saved = saved[: ctx.states], saved[ctx.states :]
    x, *tensors, lengths, reset = saved
    cell, directions = ctx.rest[:2]
    initial, parameters = tensors[: ctx.states], tensors[ctx.states :]
    with torch.enable_grad():
        call = _call(x, initial, parameters, lengths, reset, cell, directions)
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
    states = ctx.states
    return (
        results[0],
        results[1 : 1 + states],
        results[1 + states],
        results[2 + states : 2 + 2 * states],
        results[2 + 2 * states :],
        None,
        None,
        *[None] * len(ctx.rest),
        None,
    )


torch.library.register_autograd("gatewise::recurrent_backward", _second_gradient, setup_context=_remember_backward)
