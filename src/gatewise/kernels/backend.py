"""What a backend is: something that runs calls, forward and perhaps backward."""

from collections.abc import Sequence
from typing import Protocol, TypeAlias, TypeGuard

from torch import Tensor

from gatewise.kernels.call import Call

Saved: TypeAlias = tuple[Tensor, ...]
"""What the backward pass needs beside the call, as its backend knows it."""
Gradients: TypeAlias = tuple[Tensor | None, ...]
"""For each of `Call.tensors` its gradient, or None where it is zero or not needed."""


class Backend(Protocol):
    """Runs the calls that it does not refuse."""

    def refusal(self, call: Call) -> str | None:
        """Why it cannot run a call, or None."""
        ...

    def forward(self, call: Call, save: bool) -> tuple[Tensor, tuple[Tensor, ...], Saved]:
        """Run a call.

        Args:
            call: what to compute.
            save: whether `backward` will follow. A backend without it records its operations with autograd instead.

        Returns:
            Output (T, B, D·H), final states (D, B, H) each, and what was saved.
        """
        ...


class DifferentiableBackend(Backend, Protocol):
    """A backend that differentiates itself."""

    def backward(
        self, call: Call, saved: Saved, upstream: Sequence[Tensor | None], needed: Sequence[bool]
    ) -> Gradients:
        """The gradients of a call that `forward` has run and saved.

        Args:
            call: what was computed.
            saved: what was saved.
            upstream: gradients of output and final states; None is zero.
            needed: for each of `Call.tensors` whether its gradient is wanted.
        """
        ...

    def saved_shapes(self, call: Call) -> list[tuple[int, ...]]:
        """The shapes of what `forward` saves of a call with `fixed_shapes`."""
        ...


def differentiates(backend: Backend) -> TypeGuard[DifferentiableBackend]:
    """Whether a backend has a backward pass of its own; autograd follows the operations of any other."""
    return hasattr(backend, "backward")
