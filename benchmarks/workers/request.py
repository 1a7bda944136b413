"""What a worker is asked to compute."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy


@dataclass(frozen=True)
class Request:
    """One case, as arrays in float32.

    Attributes:
        cell: name of a built-in cell; None for another.
        text: the cell's canonical text.
        training: whether gradients are wanted.
        stream: whether each step is a call of its own, with the states of the one before.
        x: (T, B, I).
        gradient: of the output, (T, B, D·H).
        parameters: per direction, by the cell's parameter groups.
    """

    cell: str | None
    text: str
    training: bool
    stream: bool
    x: "numpy.ndarray"
    gradient: "numpy.ndarray"
    parameters: list[dict[str, "numpy.ndarray"]]


class Refusal(NamedTuple):
    """Why a library cannot compute a request."""

    reason: str


class Prepared(NamedTuple):
    """A request made ready.

    Attributes:
        compute: output (T, B, D·H), and in training the gradients of x and of every parameter, in order.
        call: one call, complete when it returns.
        change: what changes the weights between calls.
    """

    compute: "Callable[[], list[numpy.ndarray]]"
    call: Callable[[], object]
    change: Callable[[], None]
