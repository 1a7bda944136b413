"""Dispatch: the choice of a backend for a call."""

from torch import Tensor

from gatewise.kernels import aten, cpu, reference
from gatewise.kernels.backend import Backend
from gatewise.kernels.bfloat16 import is_narrow
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
        return Choice(backend, _with_notes("asked for by name", BACKENDS[backend], call))
    refusals: list[str] = []
    for name, module in BACKENDS.items():
        why_not = module.refusal(call)
        if why_not is None:
            return Choice(name, _with_notes("; ".join(refusals) or FASTEST, module, call))
        refusals.append(f"not {name}: {why_not}")
    raise ValueError(f"no backend can run this call: {'; '.join(refusals)}")


def _with_notes(reason: str, backend: Backend, call: Call) -> str:
    products = "bf16" if is_narrow(call) else call.precision
    note = None if products is None or backend is aten else f"products in {products}"
    notes = (note, backend.limitation(call))
    return "; ".join([reason, *(note for note in notes if note is not None)])


def run_on(name: str, call: Call) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run a call on a backend by name."""
    return BACKENDS[name].forward(call, False)[:2]
