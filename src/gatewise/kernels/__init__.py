"""The kernels, behind one door: `run` computes one layer over a sequence, `backend_for` says which backend does."""

from gatewise.kernels.call import Call, Directions
from gatewise.kernels.cpu import run_kind
from gatewise.kernels.cpu.jobs import CHUNK as MOST_AT_ONCE
from gatewise.kernels.cpu.kind import Kind
from gatewise.kernels.cpu.laid_out import Frame, LaidOut, can_be_laid_out, lay_out, shared_by
from gatewise.kernels.cpu.memory import empty
from gatewise.kernels.cpu.weights import Unchanged as UnchangedWeights
from gatewise.kernels.cpu.weights import any_frozen as any_frozen_weights
from gatewise.kernels.cpu.weights import are_frozen as are_frozen_weights
from gatewise.kernels.cpu.weights import forget as forget_weights
from gatewise.kernels.cpu.weights import frozen as frozen_weights
from gatewise.kernels.dispatch import Choice, check_backend_name
from gatewise.kernels.door import backend_for, run
from gatewise.kernels.segments import AUTO
from gatewise.kernels.tracing import is_traced

__all__ = [
    "AUTO",
    "MOST_AT_ONCE",
    "Call",
    "Choice",
    "Directions",
    "Frame",
    "Kind",
    "LaidOut",
    "UnchangedWeights",
    "any_frozen_weights",
    "are_frozen_weights",
    "backend_for",
    "can_be_laid_out",
    "check_backend_name",
    "empty",
    "forget_weights",
    "frozen_weights",
    "is_traced",
    "lay_out",
    "run",
    "run_kind",
    "shared_by",
]
