"""Gradients by autograd, and differentiable gradients, by the reference."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch._C._functorch import is_functorch_wrapped_tensor, is_legacy_batchedtensor

from gatewise.kernels import reference
from gatewise.kernels.call import Call

Gradients = tuple[Tensor | None, ...]


def batched(upstream: Sequence[Tensor | None]) -> bool:
    """Whether gradients are batched, as by ``is_grads_batched``, which only the reference supports."""
    for one in upstream:
        if one is not None and (is_functorch_wrapped_tensor(one) or is_legacy_batchedtensor(one)):
            return True
    return False


def differentiable_gradients(call: Call, upstream: Sequence[Tensor | None], needed: Sequence[bool]) -> Gradients:
    """The gradients of a call, differentiable again: those of the reference."""
    with torch.enable_grad():
        output, finals, _ = reference.forward(call, False)
        return gradients_of((output, *finals), upstream, call.tensors, needed, create_graph=True)


def gradients_of(
    results: Sequence[Tensor],
    upstream: Sequence[Tensor | None],
    tensors: Sequence[Tensor],
    needed: Sequence[bool],
    *,
    retain_graph: bool | None = None,
    create_graph: bool = False,
) -> Gradients:
    """The gradients of tensors from those of results; None if zero or not needed."""
    pairs = [
        (result, gradient)
        for result, gradient in zip(results, upstream, strict=True)
        if gradient is not None and result.requires_grad
    ]
    inputs = [tensor for tensor, wanted in zip(tensors, needed, strict=True) if wanted]
    if not pairs or not inputs:
        return (None,) * len(tensors)
    found = iter(
        torch.autograd.grad(
            [result for result, _ in pairs],
            inputs,
            [gradient for _, gradient in pairs],
            retain_graph=retain_graph,
            create_graph=create_graph,
            allow_unused=True,
        )
    )
    return tuple(next(found) if wanted else None for wanted in needed)
