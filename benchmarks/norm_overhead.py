"""Training with normalised cells against the cells without, interleaved: layer normalisation over units.

Run with ``python -m benchmarks.norm_overhead [THREADS]``; shapes are those of the core grid.
"""

import math
import sys
import time
from collections.abc import Callable

import torch

import gatewise
from benchmarks.cases import CORE

# Normalised cells, and the cells without.
PAIRS = {"lstm_layer_norm": "lstm", "lstm_layer_norm_per_gate": "lstm", "gru_layer_norm": "gru_cudnn"}
# Wall-clock seconds for each cell and shape.
SECONDS = 3.0


def step_of(cell: str, batch: int, width: int, steps: int) -> Callable[[], None]:
    """A training step: forward and backward, all gradients."""
    torch.manual_seed(0)
    layer = gatewise.Recurrent(cell, width, width)
    x = torch.randn(steps, batch, width, requires_grad=True)

    def step() -> None:
        layer(x)[0].sum().backward()

    return step


def fastest(steps: list[Callable[[], None]]) -> list[float]:
    """The fastest run of each, in seconds, taking turns."""
    best = [math.inf] * len(steps)
    end = time.perf_counter() + SECONDS * len(steps)
    while time.perf_counter() < end:
        for index, step in enumerate(steps):
            began = time.perf_counter()
            step()
            best[index] = min(best[index], time.perf_counter() - began)
    return best


def main(threads: int) -> None:
    """Print both times of each shape, and the geometric mean of their ratios."""
    torch.set_num_threads(threads)
    for cell, plain in PAIRS.items():
        ratios: list[float] = []
        for batch, width, steps in CORE:
            own, other = fastest([step_of(name, batch, width, steps) for name in (cell, plain)])
            ratios.append(own / other)
            times = f"{1e3 * own:9.3f} ms  {plain} {1e3 * other:9.3f} ms  {own / other:5.2f}"
            print(f"{cell:25} B={batch:<3} H={width:<4} T={steps:<4} {times}", flush=True)
        print(f"{cell}: geometric mean {math.exp(sum(map(math.log, ratios)) / len(ratios)):.2f} of {plain}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else torch.get_num_threads())
