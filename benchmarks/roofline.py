"""What the phases of an LSTM take beside what a core could do at the very most, in each precision of products.

A phase multiplies and adds, and reads weights; the limit is the longer of the two: multiply-adds at the rate of
registers, weights as fast as a core reads as many bytes again and again. Activations are in no limit. Run it on an
idle machine with ``python -m benchmarks.roofline``; it compiles a small program, and prints tables in Markdown, by
step.
"""

import argparse
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch

import gatewise
from gatewise.kernels import Precision
from gatewise.kernels.cpu.execution import LOOP, PRODUCTS_AFTER, PRODUCTS_BEFORE, phase_seconds

# B, H = I, T; one step is one of a stream.
INFERENCE = ((1, 256, 100), (1, 512, 100), (1, 256, 1), (1, 512, 1), (32, 256, 50))
TRAINING = ((32, 256, 50), (64, 512, 20))
GATES = 4


class Product(NamedTuple):
    """How weights are multiplied.

    Attributes:
        name: as shown.
        precision: of `gatewise.Recurrent.frozen`.
        size: bytes of a weight.
        trains: whether it is for training, too.
    """

    name: str
    precision: Precision | None
    size: int
    trains: bool


# In the order in which ``csrc/tests/limits.cpp`` prints their rates.
PRODUCTS = (
    Product("float32", None, 4, True),
    Product("bf16", "bf16", 2, True),
    Product("int8", "int8", 1, False),
)


class Phase(NamedTuple):
    """What one phase of a call does.

    Attributes:
        name: as shown.
        multiply_adds: in a call.
        weights: bytes of all weights that it multiplies by.
        readings: how often they must be read: in every step, as each needs what the one before has computed, or once.
        seconds: that it took.
    """

    name: str
    multiply_adds: int
    weights: int
    readings: int
    seconds: float


class Limits(NamedTuple):
    """What a core does at most, in billions a second.

    Attributes:
        multiply_adds: by the name of the product.
        bytes: that it reads, by the number of all.
    """

    multiply_adds: dict[str, float]
    bytes: dict[int, float]

    def of(self, product: Product, phase: Phase) -> tuple[float, str]:
        """The least seconds of a phase, and what it is bound by."""
        computing = phase.multiply_adds / self.multiply_adds[product.name] / 1e9
        reading = phase.readings * phase.weights / self.bytes[phase.weights] / 1e9
        return max((computing, "multiply-adds"), (reading, "bytes"))


def measured_limits(sizes: Sequence[int]) -> Limits:
    """The limits of this machine, for weights of these bytes.

    Raises:
        RuntimeError: without a C++ compiler.
    """
    from csrc.tests.build import ENGINE, build, compiler, runnable

    if compiler() is None:
        raise RuntimeError("the limits of the machine are measured by a program in C++: install a compiler, or set CXX")
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "limits"
        build([ENGINE / "tests" / "limits.cpp"], runnable()[0], program)
        output = subprocess.run([program, *map(str, sizes)], capture_output=True, text=True, check=True).stdout
    numbers = [float(word) for word in output.split()]
    rates, reading = numbers[: len(PRODUCTS)], numbers[len(PRODUCTS) :]
    names = [product.name for product in PRODUCTS]
    return Limits(dict(zip(names, rates, strict=True)), dict(zip(sizes, reading, strict=True)))


def inference(product: Product, batch: int, width: int, steps: int, rounds: int) -> list[Phase]:
    """The phases of inference with weights that are packed already."""
    layer = gatewise.LSTM(width, width).requires_grad_(False)
    x = torch.randn(steps, batch, width)
    with layer.frozen(precision=product.precision):
        before, loop, _, _ = fastest(lambda: layer(x)[0], rounds)
    return forward(product, batch, width, steps, before, loop)


def training(product: Product, batch: int, width: int, steps: int, rounds: int) -> list[Phase]:
    """The phases of a call and its backward pass, with gradients of all weights and of x."""
    layer = gatewise.LSTM(width, width)
    x = torch.randn(steps, batch, width, requires_grad=True)
    above = torch.randn(steps, batch, width)

    def call() -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=product.precision == "bf16"):
            return layer(x)[0]

    before, loop, backward, after = fastest(call, rounds, above)
    block = GATES * width * width
    every = batch * steps * block
    return [
        *forward(product, batch, width, steps, before, loop),
        Phase("loop, backward", every, block * product.size, steps, backward),
        Phase("gradients of x and of weights", 3 * every, block * product.size, 1, after),
    ]


def forward(product: Product, batch: int, width: int, steps: int, before: float, loop: float) -> list[Phase]:
    """The products with x, unless they are made step by step in the loop, and the loop."""
    block = GATES * width * width
    every, weights = batch * steps * block, block * product.size
    if not before:
        return [Phase("loop, with x", 2 * every, 2 * weights, steps, loop)]
    return [Phase("products with x", every, weights, 1, before), Phase("loop", every, weights, steps, loop)]


def fastest(
    call: Callable[[], torch.Tensor], rounds: int, above: torch.Tensor | None = None
) -> tuple[float, float, float, float]:
    """The least seconds of the products before the loop, the loop, the backward one, and the products after.

    Args:
        call: a call of a layer.
        rounds: how often it is called.
        above: the gradient of the output, for the backward pass.
    """
    taken: list[tuple[float, float, float, float]] = []
    for _ in range(rounds):
        with phase_seconds() as seconds:
            output = call()
            loop = seconds[LOOP]
            if above is not None:
                output.backward(above)
        taken.append((seconds[PRODUCTS_BEFORE], loop, seconds[LOOP] - loop, seconds[PRODUCTS_AFTER]))
    before, loops, backward, after = zip(*taken, strict=True)
    return min(before), min(loops), min(backward), min(after)


def rows(rounds: int) -> Iterator[str]:
    """The rows of both tables."""
    torch.manual_seed(0)
    found: list[tuple[str, tuple[int, int, int], Product, Phase]] = []
    for product in PRODUCTS:
        for shape in INFERENCE:
            found += [("inference", shape, product, phase) for phase in inference(product, *shape, rounds)]
        for shape in TRAINING if product.trains else ():
            found += [("training", shape, product, phase) for phase in training(product, *shape, rounds)]
    limits = measured_limits(sorted({phase.weights for _, _, _, phase in found}))
    yield "| products | billions of multiply-adds a second |\n|---|---|"
    yield from (f"| {name} | {rate:.0f} |" for name, rate in limits.multiply_adds.items())
    yield "\n| weights | GB/s |\n|---|---|"
    yield from (f"| {size / 1024:,.0f} kB | {rate:.0f} |" for size, rate in limits.bytes.items())
    yield "\n| LSTM | products | B, H, T | phase | multiply-adds | weights | limit, µs | measured | of the limit |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for mode, shape, product, phase in found:
        least, bound = limits.of(product, phase)
        steps = shape[2]
        yield (
            f"| {mode} | {product.name} | {', '.join(map(str, shape))} | {phase.name} "
            f"| {phase.multiply_adds / steps / 1e6:.2f} M | {phase.weights / 1024:,.0f} kB "
            f"| {least / steps * 1e6:.2f} ({bound}) | {phase.seconds / steps * 1e6:.2f} | {least / phase.seconds:.0%} |"
        )


def main(arguments: list[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.roofline")
    parser.add_argument("--rounds", type=int, default=100)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    for row in rows(options.rounds):
        print(row, flush=True)


if __name__ == "__main__":
    main()
