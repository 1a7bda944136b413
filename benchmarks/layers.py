"""Time the layers beside what a user would run instead: `torch.nn` where it has the cell, else the loop over time.

Every pair is first compared, outputs and gradients: no time is printed for a wrong answer.

    python benchmarks/layers.py                       # the five core shapes, inference and training
    python benchmarks/layers.py --cell lstm --csv times.csv
"""

import argparse
import csv
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import gatewise

SHAPES = ((1, 64, 100), (1, 256, 100), (32, 128, 100), (32, 256, 50), (64, 512, 20))
TORCH = {"lstm": nn.LSTM, "gru_cudnn": nn.GRU, "rnn_tanh": nn.RNN}
CELLS = (*TORCH, "gru_chung2014", "peephole_lstm")
MODES = ("inference", "training")


@dataclass(frozen=True)
class Case:
    """One thing to time; I = H."""

    cell: str
    ragged: bool
    mode: str
    B: int
    H: int
    T: int


@dataclass(frozen=True)
class Row(Case):
    """What was measured.

    ``us`` is microseconds per step of the sequence, the median, with its quartiles; ``ratio`` the other side's time
    over ours; ``of_peak`` our operations per second, in matrix products, over those of one large product.
    """

    backend: str
    us: float
    us_low: float
    us_high: float
    other: str
    other_us: float
    ratio: float
    of_peak: float


def inputs(case: Case) -> tuple[Tensor, Tensor | None, Tensor]:
    """Input (T, B, I), lengths (B,) or None, and the gradient of the output (T, B, H)."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(case.T, case.B, case.H, generator=generator)
    gradient = torch.randn(case.T, case.B, case.H, generator=generator)
    if not case.ragged:
        return x, None, gradient
    return x, torch.randint(case.T // 2, case.T + 1, (case.B,), generator=generator), gradient


def contestants(case: Case) -> tuple[gatewise.Recurrent, str, Callable[[Tensor, Tensor | None], Tensor], nn.Module]:
    """Our layer, the other side's name, how to call it, and its module, of equal weights."""
    ours = gatewise.Recurrent(case.cell, case.H, case.H)
    if case.cell not in TORCH:
        loop = gatewise.Recurrent(case.cell, case.H, case.H, backend="reference")
        loop.load_state_dict(ours.state_dict())
        return ours, "loop", lambda x, lengths: loop(x, lengths=lengths)[0], loop
    module = TORCH[case.cell](case.H, case.H)
    module.load_state_dict(ours.state_dict())

    def packed(x: Tensor, lengths: Tensor | None) -> Tensor:
        if lengths is None:
            return module(x)[0]
        output, _ = module(pack_padded_sequence(x, lengths, enforce_sorted=False))
        return pad_packed_sequence(output, total_length=x.shape[0])[0]

    return ours, f"nn.{type(module).__name__}", packed, module


def results(call: Callable[[Tensor, Tensor | None], Tensor], module: nn.Module, case: Case) -> list[Tensor]:
    """Output and every gradient, in float64."""
    x, lengths, gradient = inputs(case)
    dtype = next(module.parameters()).dtype
    x = x.to(dtype).requires_grad_()
    output = call(x, lengths)
    found = torch.autograd.grad(output, [x, *module.parameters()], gradient.to(dtype))
    return [output.detach().double(), *(tensor.double() for tensor in found)]


def check_agreement(case: Case) -> None:
    """Raise unless ours is within twice the other side's own rounding error of the reference in float64."""
    ours, name, other, module = contestants(case)
    exact_layer = gatewise.Recurrent(case.cell, case.H, case.H, backend="reference").double()
    exact_layer.load_state_dict(ours.state_dict())
    exact = results(lambda x, lengths: exact_layer(x, lengths=lengths)[0], exact_layer, case)
    mine = results(lambda x, lengths: ours(x, lengths=lengths)[0], ours, case)
    theirs = results(other, module, case)
    epsilon = torch.finfo(torch.float32).eps
    for ours_found, other_found, truth in zip(mine, theirs, exact, strict=True):
        allowed = 2 * (other_found - truth).abs().max() + 4 * epsilon * truth.abs().max()
        error = (ours_found - truth).abs().max()
        if not error <= allowed:
            raise AssertionError(f"{case}: differs by {error:.3g} from the reference, {name} allows {allowed:.3g}")


def seconds(pair: list[Callable[[], Any]], budget: float) -> list[list[float]]:
    """Times of each, taken in turn after a warm-up: at least ten, until the budget is spent."""
    for act in pair:
        act()
        act()
    times: list[list[float]] = [[] for _ in pair]
    end = time.perf_counter() + budget
    while len(times[0]) < 10 or time.perf_counter() < end:
        for act, taken in zip(pair, times, strict=True):
            started = time.perf_counter()
            act()
            taken.append(time.perf_counter() - started)
    return times


def measure(case: Case, peak: float, budget: float) -> Row:
    """Compare, then time."""
    check_agreement(case)
    ours, name, other, module = contestants(case)
    x, lengths, gradient = inputs(case)

    def runner(call: Callable[[Tensor, Tensor | None], Tensor], module: nn.Module) -> Callable[[], Any]:
        if case.mode == "inference":
            return torch.no_grad()(lambda: call(x, lengths))
        given = x.clone().requires_grad_()
        return lambda: torch.autograd.grad(call(given, lengths), [given, *module.parameters()], gradient)

    pair = [runner(lambda x, lengths: ours(x, lengths=lengths)[0], ours), runner(other, module)]
    mine, theirs = ([1e6 * taken / case.T for taken in times] for times in seconds(pair, budget))
    low, middle, high = statistics.quantiles(mine, n=4)
    weights = sum(parameter.numel() for parameter in ours.parameters() if parameter.dim() == 2)
    steps = case.B * case.T if lengths is None else int(lengths.sum())
    operations = 2 * weights * steps / case.T * (1 if case.mode == "inference" else 3)
    with torch.set_grad_enabled(case.mode == "training"):
        backend = ours.backend_for(x, lengths=lengths).name
    their_middle = statistics.median(theirs)
    return Row(
        **asdict(case),
        backend=backend,
        us=middle,
        us_low=low,
        us_high=high,
        other=name,
        other_us=their_middle,
        ratio=their_middle / middle,
        of_peak=operations / (middle * 1e-6) / peak,
    )


def matrix_peak() -> float:
    """Operations per second of torch's own product of two large matrices: what the machine could do."""
    a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)
    (times,) = seconds([lambda: a @ b], 0.5)
    return 2 * 1024**3 / min(times)


def cases(options: argparse.Namespace) -> Iterator[Case]:
    """The core grid, and ragged rows at its third shape."""
    for cell in options.cell or CELLS:
        for mode in options.mode or MODES:
            for batch, hidden, steps in SHAPES:
                yield Case(cell, False, mode, batch, hidden, steps)
            batch, hidden, steps = SHAPES[2]
            yield Case(cell, True, mode, batch, hidden, steps)


def main() -> None:
    """Print the table, and write it as CSV when asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cell", action="append", choices=CELLS, help="only this cell; may be given again")
    parser.add_argument("--mode", action="append", choices=MODES, help="only this mode")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--seconds", type=float, default=0.5, help="for each line of the table")
    parser.add_argument("--csv", help="write the table to this file too")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    peak = matrix_peak()
    print(
        f"torch {torch.__version__}, gatewise {gatewise.__version__}, float32, {options.threads} threads, "
        f"torch.mm reaches {peak / 1e9:.0f} GFLOP/s"
    )
    print("Microseconds per step of the sequence: median (quartiles). ratio: the other side's time over ours.")
    print(
        f"{'cell':14} {'mode':9} {'B, H, T':13} {'backend':9} {'gatewise':>25} {'other side':>20} "
        f"{'ratio':>6} {'of peak':>7}"
    )
    rows = []
    for case in cases(options):
        row = measure(case, peak, options.seconds)
        rows.append(row)
        shape = f"{row.B}, {row.H}, {row.T}"
        ours = f"{row.us:.1f} ({row.us_low:.1f}–{row.us_high:.1f})"
        other = f"{row.other_us:.1f} {row.other}"
        print(
            f"{row.cell:14} {row.mode:9} {shape:13} {row.backend:9} {ours:>25} {other:>20} {row.ratio:6.2f} "
            f"{row.of_peak:7.1%}{'  ragged' if row.ragged else ''}",
            flush=True,
        )
    if options.csv:
        with open(options.csv, "w", newline="") as file:
            writer = csv.DictWriter(file, [field.name for field in fields(Row)])
            writer.writeheader()
            writer.writerows(asdict(row) for row in rows)
        print(f"written to {options.csv}", file=sys.stderr)


if __name__ == "__main__":
    main()
