"""Dispatch: the choice of a backend for a call."""

from torch import Tensor

from gatewise.kernels import aten, cpu, reference
from gatewise.kernels.backend import Backend
from gatewise.kernels.call import Call
from gatewise.kernels.choice import FASTEST, Choice

# Fastest first.
BACKENDS: dict[str, Backend] = {"cpu": cpu, "torch": aten, "reference": reference}


def check_backend_name(name: str) -> None:
    """Raise a ValueError unless the name is ``auto`` or a backend's."""
    if name != "auto" and name not in BACKENDS:
        raise ValueError(f"backend: expected one of auto, {', '.join(BACKENDS)}, got {name!r}")


def choose(call: Call, backend: str) -> Choice:
    """The backend for a call: the fastest that can run it, or the one requested by name.

    Raises:
        ValueError: when the named backend, or every backend, cannot run the call, with the reason.
    """
    check_backend_name(backend)
    if backend != "auto":
        if (why_not := BACKENDS[backend].refusal(call)) is not None:
            raise ValueError(
                f"backend {backend!r} was asked for by name and cannot run this call: {why_not}; use backend='auto'"
            )
        return Choice(backend, _with_limitation("asked for by name", BACKENDS[backend], call))
    refusals: list[str] = []
    for name, module in BACKENDS.items():
        why_not = module.refusal(call)
        if why_not is None:
            return Choice(name, _with_limitation("; ".join(refusals) or FASTEST, module, call))
        refusals.append(f"not {name}: {why_not}")
    raise ValueError(f"no backend can run this call: {'; '.join(refusals)}")


def _with_limitation(reason: str, backend: Backend, call: Call) -> str:
    limitation = backend.limitation(call)
    return reason if limitation is None else f"{reason}; {limitation}"


def run_on(name: str, call: Call) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run a call on a backend by name."""
    return BACKENDS[name].forward(call, False)[:2]
