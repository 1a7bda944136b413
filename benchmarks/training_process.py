"""A process that trains over one sequence and prints its own memory and time: ``[bytes, seconds]``."""

import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.memory import BATCH, HIDDEN, WINDOW
from gatewise.equations import Cell
from gatewise.layers import TBPTT, Recurrent

# Calls are repeated for about this many seconds, at most this often.
SECONDS, MOST_CALLS = 2.0, 5


def resident(name: str) -> int:
    """Bytes of this process: ``VmRSS`` now, ``VmHWM`` at most."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def measured(cell: Cell, strategy: str, steps: int) -> tuple[int, float]:
    """Bytes beyond the caller's, and the seconds of a call."""
    torch.manual_seed(0)
    layer = Recurrent(cell, HIDDEN, HIDDEN, checkpoint_every="auto" if strategy == "checkpointed" else None)
    of_windows = strategy == "tbptt"
    train = _train_windows if of_windows else _train
    _train(layer, *_data(2))  # libraries, and buffers of the size of the weights
    x, gradient = _data(steps)
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the highest mark begins anew
    taken: list[float] = []
    while sum(taken) < SECONDS and len(taken) < MOST_CALLS:
        began = time.perf_counter()
        train(layer, x, gradient)
        taken.append(time.perf_counter() - began)
        x.grad = None
    callers = 0 if of_windows else x.nbytes + gradient.nbytes  # as large as the gradient of x, and the output
    return max(0, resident("VmHWM") - before - callers), statistics.median(taken)


def _data(steps: int) -> tuple[Tensor, Tensor]:
    x = torch.randn(steps, BATCH, HIDDEN).requires_grad_()
    return x, torch.randn(steps, BATCH, HIDDEN)


def _train(layer: Recurrent, x: Tensor, gradient: Tensor) -> None:
    layer(x)[0].backward(gradient)


def _train_windows(layer: Recurrent, x: Tensor, gradient: Tensor) -> None:
    """The gradients of x are computed here too, and dropped window by window."""

    def run(part: Tensor, state: Any) -> Any:
        return layer(part.detach().requires_grad_(), state)

    for window in TBPTT(WINDOW, WINDOW).windows(x.detach(), gradient):
        window.run(run).backward(window.target)


if __name__ == "__main__":
    wanted = json.loads(sys.argv[1])
    torch.set_num_threads(wanted["threads"])
    print(json.dumps(measured(Cell.from_text(wanted["cell"]), wanted["strategy"], wanted["steps"])))
