"""The choice of a backend, with its reason."""

from typing import Literal, NamedTuple, TypeAlias

BackendName: TypeAlias = Literal["auto", "cpu", "torch", "reference"]
FASTEST = "the fastest backend there is for this call"


class Choice(NamedTuple):
    """The backend that runs a call.

    Attributes:
        name: ``cpu``, ``torch`` or ``reference``.
        reason: why this one, and why not a faster one.
    """

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"
