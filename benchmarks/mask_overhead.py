"""What `mask=` costs: a layer with a mask beside `lengths` of the same numbers of valid steps, interleaved.

Run it on an idle machine with ``python -m benchmarks.mask_overhead``; it prints a table in Markdown.
"""

import argparse
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

import gatewise
from benchmarks.functions import beside
from benchmarks.statistics import ratio_text

# B, H = I, T
SHAPES = ((32, 64, 100), (32, 256, 50))


def masks(batch: int, steps: int) -> Iterator[tuple[str, Tensor]]:
    """Masks (T, B) by what they are."""
    t = torch.arange(steps)[:, None]
    yield "all steps valid", torch.ones(steps, batch, dtype=torch.bool)
    yield "a tenth of the steps masked, at the beginning", (t >= steps // 10).expand(steps, batch)
    yield "a tenth masked, anywhere", torch.rand(steps, batch, generator=torch.Generator().manual_seed(0)) > 0.1


def calls(
    layer: gatewise.Recurrent, x: Tensor, mask: Tensor, *, training: bool
) -> tuple[Callable[[], object], Callable[[], object]]:
    """A call with the mask, and one that runs as many steps of each row."""
    parameters = [x, *layer.parameters()]

    def call(**options: Tensor) -> object:
        with torch.set_grad_enabled(training):
            output, _ = layer(x, **options)
            return torch.autograd.grad(output.sum(), parameters) if training else output

    lengths = mask.sum(0)
    return lambda: call(mask=mask), lambda: call(lengths=lengths)


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mask_overhead")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--pairs", type=int, default=20)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    print("| LSTM, B, H, T | mask | training | inference |\n|---|---|---|---|")
    for batch, width, steps in SHAPES:
        torch.manual_seed(0)
        layer = gatewise.LSTM(width, width)
        x = torch.randn(steps, batch, width, requires_grad=True)
        for name, mask in masks(batch, steps):
            found: list[str] = []
            for training in (True, False):
                ratio = beside(*calls(layer, x, mask, training=training), options.pairs).ratio
                found.append(ratio_text(ratio, "×"))
            print(f"| {batch}, {width}, {steps} | {name} | {' | '.join(found)} |", flush=True)


if __name__ == "__main__":
    main()
