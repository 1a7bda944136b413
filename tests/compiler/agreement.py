"""A compiled cell and its reference on one call: how far apart outputs, final states and gradients are."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from gatewise.kernels import Call
from tests.kernels.calls import flat, upstream_of

Run = Callable[[Call], tuple[Tensor, Sequence[Tensor]]]


def outcome(run: Run, call: Call) -> tuple[Tensor, ...]:
    """Output, final states and, if the call's tensors want any, every gradient."""
    results = flat(run(call))
    wanted = [tensor for tensor in call.tensors if tensor.requires_grad]
    if not torch.is_grad_enabled() or not wanted:
        return results
    # Results that depend on nothing wanted, such as a state that is a constant, may say so or not.
    pairs = [(a, b) for a, b in zip(results, upstream_of(results), strict=True) if a.requires_grad]
    for tensor in wanted:
        tensor.grad = None
    # Not `grad`, which omits whatever leads to nothing wanted, the hooks of observers included.
    torch.autograd.backward([a for a, _ in pairs], [b for _, b in pairs])
    return *results, *(torch.zeros_like(tensor) if tensor.grad is None else tensor.grad for tensor in wanted)


def furthest(actual: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """The largest difference, by the size of the tensor that it is in."""
    differences = [
        (a.double() - b.double()).abs().max() / (1 + b.double().abs().max())
        for a, b in zip(actual, expected, strict=True)
        if b.numel()
    ]
    return torch.stack(differences).max().item()  # NaN if one is


def shaken(call: Call, by: float = 1e-12) -> Call:
    """The same call on values that differ a little more than by rounding."""
    return call.with_tensors(
        tuple(
            (tensor * (1 + by * torch.rand_like(tensor))).detach().requires_grad_(tensor.requires_grad)
            for tensor in call.tensors
        )
    )
