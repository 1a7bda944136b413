"""What a norm or a mask in the recurrence costs in training: layers with it beside those without, interleaved.

Run it on an idle machine with ``python -m benchmarks.variant_overhead``; it prints a table in Markdown. The shapes are
those of the core grid.
"""

import argparse
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

import gatewise
from benchmarks.cases import CORE
from benchmarks.functions import beside
from benchmarks.statistics import ratio_text

# The cell of each variant with the options of its layer, and the cell that it is timed beside.
VARIANTS: dict[str, tuple[str, dict[str, Any], str]] = {
    "lstm_layer_norm": ("lstm_layer_norm", {}, "lstm"),
    "lstm_layer_norm_per_gate": ("lstm_layer_norm_per_gate", {}, "lstm"),
    "gru_layer_norm": ("gru_layer_norm", {}, "gru_cudnn"),
    "recurrent_dropout=0.3": ("lstm", {"recurrent_dropout": 0.3}, "lstm"),
    "variational=0.3": ("lstm", {"variational": 0.3}, "lstm"),
    "zoneout=(0.05, 0.5)": ("lstm", {"zoneout": (0.05, 0.5)}, "lstm"),
    "weight_drop=0.5": ("lstm", {"weight_drop": 0.5}, "lstm"),
}


def training_step(cell: str, batch: int, width: int, steps: int, **options: Any) -> Callable[[], tuple[Tensor, ...]]:
    """A forward and a backward pass, with all gradients."""
    torch.manual_seed(0)
    layer = gatewise.Recurrent(cell, width, width, **options)
    x = torch.randn(steps, batch, width, requires_grad=True)
    inputs = [x, *layer.parameters()]
    return lambda: torch.autograd.grad(layer(x)[0].sum(), inputs)


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.variant_overhead")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=[*VARIANTS])
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    print(f"| B, H, T | {' | '.join(options.variants)} |\n|{'---|' * (1 + len(options.variants))}")
    ratios: dict[str, list[float]] = {name: [] for name in options.variants}
    for batch, width, steps in CORE:
        found: list[str] = []
        for name in options.variants:
            cell, of_layer, plain = VARIANTS[name]
            first = training_step(cell, batch, width, steps, **of_layer)
            ratio = beside(first, training_step(plain, batch, width, steps), options.pairs).ratio
            ratios[name].append(ratio.median)
            found.append(ratio_text(ratio, "×"))
        print(f"| {batch}, {width}, {steps} | {' | '.join(found)} |", flush=True)
    means = (f"{math.exp(sum(map(math.log, each)) / len(each)):.2f}×" for each in ratios.values())
    print(f"| geometric mean | {' | '.join(means)} |")


if __name__ == "__main__":
    main()
