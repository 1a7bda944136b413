"""The kernels: `run` computes one layer over a sequence, `backend_for` says which backend does."""

from gatewise.kernels.call import AUTO, Call, Directions
from gatewise.kernels.choice import Choice
from gatewise.kernels.cpu.packed import PackedWeights
from gatewise.kernels.dispatch import check_backend_name
from gatewise.kernels.execute import backend_for, run, run_on_cpu, runs_on_cpu, step_on_cpu

__all__ = [
    "AUTO",
    "Call",
    "Choice",
    "Directions",
    "PackedWeights",
    "backend_for",
    "check_backend_name",
    "run",
    "run_on_cpu",
    "runs_on_cpu",
    "step_on_cpu",
]
