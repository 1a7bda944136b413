"""Kernels: `run` computes one layer over a sequence, `backend_for` reports which backend does."""

from gatewise.kernels.bfloat16 import products_asked, products_switched
from gatewise.kernels.call import AUTO, Call, Directions, check_lengths
from gatewise.kernels.choice import BackendName, Choice
from gatewise.kernels.cpu import runs as runs_on_cpu
from gatewise.kernels.cpu.execution import forward as forward_on_cpu
from gatewise.kernels.cpu.library import engine
from gatewise.kernels.cpu.packed import IntegerPrecision, PackedWeights, Precision
from gatewise.kernels.dispatch import check_backend_name
from gatewise.kernels.execute import backend_for, run, run_on_cpu

__all__ = [
    "AUTO",
    "BackendName",
    "Call",
    "Choice",
    "Directions",
    "IntegerPrecision",
    "PackedWeights",
    "Precision",
    "backend_for",
    "check_backend_name",
    "check_lengths",
    "engine",
    "forward_on_cpu",
    "products_asked",
    "products_switched",
    "run",
    "run_on_cpu",
    "runs_on_cpu",
]
