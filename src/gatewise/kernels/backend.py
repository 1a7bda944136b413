"""The backend protocol: runs calls forward and optionally backward."""

from collections.abc import Sequence
from typing import Protocol, TypeAlias, TypeGuard

from torch import Tensor

from gatewise.kernels.call import Call

Saved: TypeAlias = tuple[Tensor, ...]
"""The tensors saved for backward besides the call, in a form private to the backend."""
Gradients: TypeAlias = tuple[Tensor | None, ...]
"""The gradient of each of `Call.tensors`, or None if it is zero or not needed."""


class Backend(Protocol):
    """Runs the calls for which `refusal` returns None."""

    def refusal(self, call: Call) -> str | None:
        """The reason why it cannot run a call, or None."""
        ...

    def limitation(self, call: Call) -> str | None:
        """What keeps it from its full speed on a call that it can run, or None."""
        ...

    def forward(self, call: Call, save: bool) -> tuple[Tensor, tuple[Tensor, ...], Saved]:
        """Run a call.

        Args:
            call: what to compute.
            save: whether `backward` will follow. A backend without `backward` relies on autograd instead.

        Returns:
            Output (T, B, D·H), final states (D, B, H) each, after them the `Call.sequences`, (T, B, D·H) each, and the
            tensors saved for backward.
        """
        ...


class DifferentiableBackend(Backend, Protocol):
    """A backend with its own backward pass."""

    def backward(
        self, call: Call, saved: Saved, upstream: Sequence[Tensor | None], needed: Sequence[bool]
    ) -> Gradients:
        """The gradients of a call run by `forward` with ``save``.

        Args:
            call: the call.
            saved: the tensors saved by `forward`.
            upstream: gradients of output, final states and sequences; None means zero.
            needed: whether the gradient of each of `Call.tensors` is needed.
        """
        ...

    def saved_shapes(self, call: Call) -> list[tuple[int, ...]]:
        """The shapes of the tensors that `forward` saves for a call with `fixed_shapes`."""
        ...


def differentiates(backend: Backend) -> TypeGuard[DifferentiableBackend]:
    """Whether a backend has its own backward pass, rather than autograd's."""
    return hasattr(backend, "backward")
