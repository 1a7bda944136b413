"""Where the time of training goes: in recurrent kernels, in matrix products, in the rest.

    python examples/profile_training.py seq2seq --steps 30
    python examples/profile_training.py seq2seq --data pairs.tsv --hidden 256 --embedding-size 256

The options after the task are those of `gatewise train`. Steps are the task's own, with its batches, loss, gradient,
clipping and optimiser, without Lightning around them, under torch's profiler; of the first few nothing is counted.
Shares are of the time of all operators and, in the second column, of the time by the clock, in which Python is too.
"""

import argparse
import itertools
import time
from typing import Any

from torch.profiler import ProfilerActivity, profile

from gatewise.tasks.options import build
from gatewise.tasks.task import Job, task_of
from gatewise.tasks.task_names import options_of

_WARM_UP = 3
_KERNELS = ("gatewise::recurrent", "Fused_")  # how their names begin
_PRODUCTS = ("aten::mm", "aten::addmm", "aten::addmm_", "aten::bmm", "aten::baddbmm")


def shares(job: Job, steps: int) -> dict[str, tuple[float, float]]:
    """What some steps of a job spend in kernels, products, and elsewhere: shares of operators, and of the clock."""
    module: Any = job.module.train()
    options, optimiser = job.options, module.configure_optimizers()["optimizer"]
    clip = (options.clip_norm, "norm") if options.clip_norm else (options.clip_value, "value")
    batches = itertools.cycle(job.training)

    def step() -> None:
        optimiser.zero_grad()
        module.training_step(next(batches), 0).backward()
        module.on_after_backward()
        module.configure_gradient_clipping(optimiser, *clip)
        optimiser.step()

    for _ in range(_WARM_UP):
        step()
    with profile(activities=[ProfilerActivity.CPU]) as watched:
        began = time.perf_counter()
        for _ in range(steps):
            step()
        clock = time.perf_counter() - began
    times = {event.key: event.self_cpu_time_total / 1e6 for event in watched.key_averages()}
    total = sum(times.values())
    kernels = sum(time for name, time in times.items() if name.startswith(_KERNELS))
    products = sum(times.get(name, 0) for name in _PRODUCTS)
    parts = {
        "recurrent kernels": kernels,
        "matrix products": products,
        "both": kernels + products,
        "other operators": total - kernels - products,
    }
    return {name: (part / total, part / clock) for name, part in parts.items()}


def main() -> None:
    """Read the command line, print the shares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--data", nargs="*", default=())
    known, others = parser.parse_known_args()
    names, values = others[::2], others[1::2]
    options: dict[str, Any] = {"data": tuple(known.data)}
    for name, value in zip(names, values, strict=True):
        options[name.removeprefix("--").replace("-", "_")] = _value(value)
    task = task_of(known.task)
    job = task.prepare(build(options_of(known.task), options), None)
    for name, (of_operators, by_clock) in shares(job, known.steps).items():
        print(f"{of_operators:6.1%}  {by_clock:6.1%}  {name}")


def _value(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


if __name__ == "__main__":
    main()
