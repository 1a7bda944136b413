"""The kernels, behind one door: `run` computes one layer over a sequence, `backend_for` says which backend does."""

from gatewise.kernels.call import Call, Directions
from gatewise.kernels.cpu.stepping import Frame as StepFrame
from gatewise.kernels.cpu.stepping import Stepper, stepper
from gatewise.kernels.cpu.weights import Unchanged as UnchangedWeights
from gatewise.kernels.cpu.weights import forget as forget_weights
from gatewise.kernels.cpu.weights import frozen as frozen_weights
from gatewise.kernels.dispatch import Choice, check_backend_name
from gatewise.kernels.door import backend_for, run
from gatewise.kernels.segments import AUTO

__all__ = [
    "AUTO",
    "Call",
    "Choice",
    "Directions",
    "StepFrame",
    "Stepper",
    "UnchangedWeights",
    "backend_for",
    "check_backend_name",
    "forget_weights",
    "frozen_weights",
    "run",
    "stepper",
]
