"""What a norm, a mask or a projection in the recurrence costs in training: layers with it beside those without.

Run it on an idle machine with ``python -m benchmarks.variant_overhead``; it prints a table in Markdown. The shapes are
those of the core grid. Beside the times of a layer with other products than the plain one is what its products take of
those of the plain one.
"""

import argparse
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

import gatewise
from benchmarks.cases import CORE
from benchmarks.functions import beside
from benchmarks.statistics import ratio_text
from gatewise.cells import lookup
from gatewise.compiler import plan

# The cell of each variant with the options of its layer, and the cell that it is timed beside.
VARIANTS: dict[str, tuple[str, dict[str, Any], str]] = {
    "lstm_layer_norm": ("lstm_layer_norm", {}, "lstm"),
    "lstm_layer_norm_per_gate": ("lstm_layer_norm_per_gate", {}, "lstm"),
    "gru_layer_norm": ("gru_layer_norm", {}, "gru_cudnn"),
    "recurrent_dropout=0.3": ("lstm", {"recurrent_dropout": 0.3}, "lstm"),
    "variational=0.3": ("lstm", {"variational": 0.3}, "lstm"),
    "zoneout=(0.05, 0.5)": ("lstm", {"zoneout": (0.05, 0.5)}, "lstm"),
    "weight_drop=0.5": ("lstm", {"weight_drop": 0.5}, "lstm"),
    "proj_size=H/4": ("lstm_projected", {"projection": 0.25}, "lstm"),
    "proj_size=H/2": ("lstm_projected", {"projection": 0.5}, "lstm"),
}


def training_step(
    cell: str, batch: int, width: int, steps: int, projection: float = 0.0, **options: Any
) -> Callable[[], tuple[Tensor, ...]]:
    """A forward and a backward pass, with all gradients.

    Args:
        cell: its name.
        batch, width, steps: B, H = I and T.
        projection: P / H.
        options: of the layer.
    """
    torch.manual_seed(0)
    layer = gatewise.Recurrent(cell, width, width, proj_size=int(projection * width), **options)
    x = torch.randn(steps, batch, width, requires_grad=True)
    inputs = [x, *layer.parameters()]
    return lambda: torch.autograd.grad(layer(x)[0].sum(), inputs)


def share_of_products(name: str, width: int) -> float:
    """The multiply-adds of a step of a variant over those of the plain cell."""
    cell, options, plain = VARIANTS[name]
    own, other = (plan(lookup(one)) for one in (cell, plain))
    projection = int(options.get("projection", 0.0) * width)
    return own.multiply_adds(width, width, projection) / other.multiply_adds(width, width)


def geometric_mean(values: Sequence[float]) -> float:
    """The geometric mean of positive numbers.

    >>> round(geometric_mean([1.0, 4.0]), 6)
    2.0
    """
    return math.exp(sum(map(math.log, values)) / len(values))


def with_share(text: str, share: float) -> str:
    """The text of a ratio, beside a share of products that is not all of them."""
    return text if share == 1 else f"{text}, products {share:.2f}×"


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
            found.append(with_share(ratio_text(ratio, "×"), share_of_products(name, width)))
        print(f"| {batch}, {width}, {steps} | {' | '.join(found)} |", flush=True)
    means = (
        with_share(f"{geometric_mean(each):.2f}×", geometric_mean([share_of_products(name, row[1]) for row in CORE]))
        for name, each in ratios.items()
    )
    print(f"| geometric mean | {' | '.join(means)} |")


if __name__ == "__main__":
    main()
