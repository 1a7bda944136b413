"""The core of the agreement tests on the engine alone: ``python -m tests.kernels.cpu.agreement`` prints what ran.

A process of its own, because the instruction set is chosen once (``GATEWISE_ISA``).
"""

import torch

from gatewise.cells import names
from gatewise.kernels.cpu import execution, parallelism
from gatewise.kernels.cpu.library import SUFFIX, engine
from tests.agreement import Case, Way, check, transcribed
from tests.combinations import combined
from tests.kernels.cpu.workspaces import full_of_nan

# Every width of strip and count of rows, one step and several, more rows than a tile has and fewer.
SHAPES = (
    {"batch": 1, "hidden_size": 70, "steps": 4},
    {"batch": 3, "hidden_size": 9, "steps": 3, "reset": True, "bidirectional": True},
    {"batch": 11, "hidden_size": 37, "steps": 5, "lengths": (5, 0, 3), "reset": True, "bidirectional": True},
    {"batch": 9, "hidden_size": 16, "steps": 1, "num_layers": 2, "bias": False, "initial": False},
)


def run() -> int:
    """Check every case; the number of them."""
    cases = combined((names(), SHAPES, SUFFIX, (1, 3)))
    for seed, (cell, shape, dtype, threads) in enumerate(cases):
        case = Case(cell, input_size=7, dtype=dtype, seed=seed, **shape)
        transcribed(case, torch.float64)  # on one thread: what follows takes it from there
        transcribed(case, dtype)
        torch.set_num_threads(threads)
        with full_of_nan():
            check(case, [Way("cpu")])
        torch.set_num_threads(1)
    return len(cases)


if __name__ == "__main__":
    parallelism._affinity = parallelism._quota = lambda: 8
    # Small calls are shared out too.
    execution.SHARE_SMALL = 1
    print(run(), engine().instruction_set)
