"""Products of bfloat16 in training, under autocast, beside those of floats and torch's layers, interleaved.

Run it on an idle machine with ``python -m benchmarks.bfloat16``; it prints how many multiply-adds a second a core does
in registers, where there is a C++ compiler, and a table in Markdown.
"""

import argparse
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

import gatewise
from benchmarks.functions import Function
from benchmarks.statistics import ratio_row
from benchmarks.timing import interleaved
from gatewise.cells import lookup
from gatewise.equations.load import is_file_reference, load_cell

# B, H = I, T.
SHAPES = ((32, 256, 50), (64, 512, 20), (32, 128, 100), (1, 256, 100))
_TORCH = {"lstm": nn.LSTM, "gru_cudnn": nn.GRU, "rnn_tanh": nn.RNN}


def rates() -> str:
    """Multiply-adds in registers, in billions a second; without a compiler, that there is none."""
    from csrc.tests.build import ENGINE, build, compiler, runnable

    if compiler() is None:
        return "Multiply-adds in registers: not measured, there is no C++ compiler."
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "rates"
        build([ENGINE / "tests" / "rates.cpp"], runnable()[0], program)
        found = subprocess.run([program], capture_output=True, text=True, check=True).stdout
    floats, instruction, widened = map(float, found.split())
    with_instruction = f"{instruction:.0f} ({instruction / floats:.2f}×)" if instruction else "no instruction"
    return (
        f"Multiply-adds in registers, billions a second on one core: floats {floats:.0f}; pairs of bfloat16 "
        f"{with_instruction}, widened {widened:.0f} ({widened / floats:.2f}×)."
    )


def training(layer: nn.Module, x: Tensor, *, autocast: bool) -> Callable[[], object]:
    """A call of a layer and its backward pass, with gradients of all weights and of x."""
    above = torch.randn(*x.shape[:2], x.shape[2])

    def run() -> None:
        layer.zero_grad()
        x.grad = None
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            output = layer(x)[0]
        output.backward(above.to(output.dtype))

    return run


def contenders(cell: str, batch: int, width: int, steps: int) -> list[Function]:
    """Ours in products of bfloat16 first, in floats second, and torch's layer under autocast where it has the cell."""
    torch.manual_seed(0)
    layer = gatewise.Recurrent(load_cell(cell) if is_file_reference(cell) else lookup(cell), width, width)
    x = torch.randn(steps, batch, width, requires_grad=True)
    found = [
        Function("bf16", training(layer, x, autocast=True)),
        Function("float32", training(layer, x, autocast=False)),
    ]
    if cell in _TORCH:
        found.append(Function("torch.nn, autocast", training(_TORCH[cell](width, width), x, autocast=True)))
    return found


def main(arguments: list[str] | None = None) -> None:
    """Print the rates and the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bfloat16")
    parser.add_argument("--cells", nargs="+", default=["lstm", "gru_cudnn", "examples/cells/ugrnn.py:ugrnn"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--pairs", type=int, default=20)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    print(rates(), flush=True)
    print("\n| | B, H, T | bf16, ms | float32 / bf16 | torch.nn under autocast / bf16 |\n|---|---|---|---|---|")
    for cell in options.cells:
        for shape in SHAPES:
            rounds = interleaved(contenders(cell, *shape), options.pairs)
            print(ratio_row(cell.rpartition(":")[2], shape, rounds, 1e3, 2), flush=True)


if __name__ == "__main__":
    main()
