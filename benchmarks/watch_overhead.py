"""Overhead of `gatewise.watch`: training steps with and without it, interleaved; processor time on one thread.

The first steps of a watch cost more: later on the size of the update is measured on a sample of the steps.
Run with ``python -m benchmarks.watch_overhead``.
"""

import time
from collections.abc import Callable

import torch

import gatewise
from gatewise.diagnostics.updates import MOST

# cell, batch, width, steps, layers; and rounds.
CASES = (
    ("gru_cudnn", 4, 32, 50, 1, 100),
    ("lstm", 8, 64, 100, 1, 60),
    ("gru_cudnn", 32, 128, 100, 1, 20),
    ("lstm", 16, 256, 100, 2, 10),
)


def seconds(step: Callable[[], None]) -> float:
    """The fastest of five steps after a warm-up; processor time, since other processes may be running."""
    step()
    taken: list[float] = []
    for _ in range(5):
        began = time.process_time()
        step()
        taken.append(time.process_time() - began)
    return min(taken)


def main() -> None:
    """Print the fastest step without `watch`, and the overhead of each kind of watching."""
    torch.set_num_threads(1)
    print(f"{'cell':10} {'B':>3} {'H':>4} {'T':>4} {'layers':>6}  {'ms':>8}  {'first':>7}  {'later':>7}  {'gates':>7}")
    for cell, batch, width, steps, layers, rounds in CASES:
        torch.manual_seed(0)
        model = gatewise.Recurrent(cell, width, width, num_layers=layers)
        optimiser = torch.optim.Adam(model.parameters(), lr=1e-4)
        x, target = torch.randn(2, steps, batch, width)

        def step(model=model, optimiser=optimiser, x=x, target=target) -> None:
            optimiser.zero_grad()
            (model(x)[0] - target).square().mean().backward()
            optimiser.step()

        with gatewise.watch(model) as later:
            for _ in range(2 * MOST):
                step()
        taken: list[list[float]] = [[], [], [], []]
        for _ in range(rounds):
            taken[0].append(seconds(step))
            with gatewise.watch(model):
                taken[1].append(seconds(step))
            with later.recording():
                taken[2].append(seconds(step))
            with gatewise.watch(model, gates=True):
                taken[3].append(seconds(step))
        plain, *watched = map(min, taken)
        more = "  ".join(f"{one / plain - 1:+7.1%}" for one in watched)
        print(f"{cell:10} {batch:3} {width:4} {steps:4} {layers:6}  {1e3 * plain:8.2f}  {more}", flush=True)


if __name__ == "__main__":
    main()
