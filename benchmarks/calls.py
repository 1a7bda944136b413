"""What a call costs besides its arithmetic: training calls, single steps and streams of small LSTMs, interleaved.

Run it on an idle machine with ``python -m benchmarks.calls``; it prints a table in Markdown. A training call is beside
an `autograd.Function` with the same tensors and no arithmetic, too: what torch itself takes for such a call.
"""

import argparse
import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

import gatewise
from benchmarks.functions import Function
from benchmarks.statistics import quartiles, ratio_text
from benchmarks.timing import interleaved
from gatewise.kernels.cpu.execution import phase_seconds

# Calls over which the engine's own clocks are read.
CLOCKED = 2000


class Small(NamedTuple):
    """A small call.

    Attributes:
        name: what is called.
        shape: B, H = I and T.
        contenders: ours first.
    """

    name: str
    shape: tuple[int, int, int]
    contenders: list[Function]


class Empty(torch.autograd.Function):
    """Saves its tensors, and returns them as their gradients."""

    @staticmethod
    def forward(ctx: Any, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Three results, like an LSTM's."""
        ctx.save_for_backward(*tensors)
        ctx.set_materialize_grads(False)
        return tuple(torch.empty_like(tensors[0]) for _ in range(3))

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, ...]:
        """The tensors themselves."""
        return ctx.saved_tensors


def training(
    layer: nn.Module, x: Tensor, output_of: Callable[..., Tensor] | None = None, **options: Any
) -> Callable[[], object]:
    """Forward and all gradients."""
    tensors = [x, *layer.parameters()]
    upstream = torch.ones_like(layer(x, **options)[0].detach())
    of = output_of or (lambda: layer(x, **options)[0])
    return lambda: torch.autograd.grad(of(), tensors, upstream)


def small_calls(stack: ExitStack) -> Iterator[Small]:
    """The calls, one after the other."""
    torch.manual_seed(0)
    ours, theirs = gatewise.LSTM(8, 8), nn.LSTM(8, 8)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(1, 1, 8, requires_grad=True)
    torch.testing.assert_close(ours(x)[0], theirs(x)[0])
    tensors = [x, *ours.parameters()]
    empty = training(ours, x, lambda: Empty.apply(*tensors)[0])  # pyright: ignore[reportArgumentType, reportOptionalSubscript]
    contenders = [
        Function("gatewise", training(ours, x)),
        Function("nn.LSTM", training(theirs, x)),
        Function("empty Function", empty),
    ]
    yield Small("training", (1, 8, 1), contenders)

    ours, theirs = gatewise.LSTM(32, 32, bidirectional=True), nn.LSTM(32, 32, bidirectional=True)
    theirs.load_state_dict(ours.state_dict())
    x, lengths = torch.randn(20, 16, 32, requires_grad=True), torch.arange(5, 21)

    def of_packed(layer: nn.Module = theirs, x: Tensor = x) -> Tensor:
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
        return nn.utils.rnn.pad_packed_sequence(layer(packed)[0])[0]

    torch.testing.assert_close(ours(x, lengths=lengths)[0], of_packed())
    contenders = [
        Function("gatewise", training(ours, x, lengths=lengths)),
        Function("nn.LSTM", training(theirs, x, of_packed)),
    ]
    yield Small("training, ragged, both directions", (16, 32, 20), contenders)

    stack.enter_context(torch.no_grad())
    for width in (64, 256):
        ours, theirs = gatewise.LSTM(width, width), nn.LSTM(width, width)
        theirs.load_state_dict(ours.state_dict())
        frozen = gatewise.LSTM(width, width)
        frozen.load_state_dict(ours.state_dict())
        stack.enter_context(frozen.frozen())
        x_t = torch.randn(1, width)
        _, state = ours.step(x_t)
        torch.testing.assert_close(ours.step(x_t, state)[0], theirs(x_t[None], state)[0][0])
        stream = ours.stream(itertools.repeat(x_t))
        of_torch = Function("nn.LSTM", partial(theirs, x_t[None], state))
        for name, call in {
            "step": partial(ours.step, x_t, state),
            "step, frozen": partial(frozen.step, x_t, state),
            "step of a stream": partial(next, stream),
        }.items():
            yield Small(name, (1, width, 1), [Function("gatewise", call), of_torch])


def engine_seconds(call: Callable[[], object]) -> float:
    """The seconds of a call that the engine works: products and loop, without the checks and the planning before."""
    call()
    with phase_seconds() as seconds:
        for _ in range(CLOCKED):
            call()
    return sum(seconds) / CLOCKED


def first_call_ratio(shapes: int) -> tuple[float, float]:
    """How many times as long the first training call of an unseen T takes as the third, and of a seen one; medians.

    Before each first call its input is made, so that the threads have been idle.
    """
    layer, ratios = gatewise.LSTM(32, 32), ([], [])
    training(layer, torch.randn(10, 16, 32, requires_grad=True))()
    for steps in range(20, 20 + shapes):
        for found in ratios:
            x, taken = torch.randn(steps, 16, 32, requires_grad=True), []
            tensors, upstream = [x, *layer.parameters()], torch.ones(steps, 16, 32)
            for _ in range(3):
                started = time.perf_counter()
                torch.autograd.grad(layer(x)[0], tensors, upstream)
                taken.append(time.perf_counter() - started)
            found.append(taken[0] / taken[2])
    return statistics.median(ratios[0]), statistics.median(ratios[1])


def main(arguments: list[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calls")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--pairs", type=int, default=50)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    unseen, seen = first_call_ratio(options.pairs)
    print("| LSTM | B, H, T | µs | of them the engine | nn.LSTM / gatewise | empty Function / gatewise |")
    print("|---|---|---|---|---|---|")
    with ExitStack() as stack:
        for name, shape, contenders in small_calls(stack):
            own, *others = interleaved(contenders, options.pairs)
            ratios = [quartiles([other / mine for other, mine in zip(taken, own, strict=True)]) for taken in others]
            cells = [
                f"{quartiles(own).median * 1e6:.1f}",
                f"{engine_seconds(contenders[0].call) * 1e6:.1f}",
                *map(ratio_text, ratios),
            ]
            cells += [""] * (4 - len(cells))
            print(f"| {name} | {', '.join(map(str, shape))} | {' | '.join(cells)} |", flush=True)
    print(
        f"\nThe first training call of an unseen T (B = 16, H = 32) takes {unseen:.2f} times as long as the third, "
        f"that of a seen T {seen:.2f} times."
    )


if __name__ == "__main__":
    main()
