"""Random calls of random layers, one after the other, each against the reference: whatever came before.

Shapes, threads, training and inference, lengths, resets, states, both directions, stacks, steps and streams, frozen and
watched layers, recomputed segments, tensors with gaps, memory below 4 GiB and writes to the weights take turns, so that
nothing of one call may spoil another. Errors keep to the tolerance of all tests; equal calls give equal bits.

``python -m tests.layers.fuzz --minutes 10`` (`make fuzz`) runs until the time is over, and prints the seed of what
is wrong.
"""

import argparse
import random
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor

import gatewise
from tests.agreement import CELLS, possible
from tests.layers.oracle import call, check_steps, expected
from tests.layers.test_low_addresses import BELOW_4_GIB, low
from tests.layers.test_weights_seen import WRITES

# What a write leaves behind must be weights of the same form.
_WRITES: dict[str, Callable[[gatewise.Recurrent], None]] = {
    name: write for name, write in WRITES.items() if name not in ("replaced", "data of one bias", "data of one weight")
}


class Calls:
    """Calls of a few layers, drawn from a seed."""

    def __init__(self, seed: int, *, threads: int = 2, layers: int = 4) -> None:
        self.draw = random.Random(seed)
        torch.manual_seed(seed)
        self.threads = threads
        self.layers = [self._layer() for _ in range(layers)]
        self.done: list[str] = []

    def one(self) -> None:
        """One call, and its like; perhaps after a write to the weights."""
        draw = self.draw
        torch.set_num_threads(draw.randint(1, self.threads))
        layer = draw.choice(self.layers)
        if draw.random() < 0.3:
            name = draw.choice(list(_WRITES))
            self.done.append(f"{name} of {layer}")
            _WRITES[name](layer)
            bound = layer.hidden_size**-0.5  # so small that no rounding is amplified beyond recognition
            for parameter in layer.parameters():
                parameter.data.clamp_(-bound, bound)
        if not (layer.bidirectional or layer.reverse) and draw.random() < 0.25:
            self._steps(layer)
        else:
            self._sequence(layer)

    def _layer(self) -> gatewise.Recurrent:
        draw = self.draw
        bidirectional = draw.random() < 0.4
        return gatewise.Recurrent(
            CELLS[draw.choice(list(CELLS))],
            draw.randint(1, 6),
            draw.choice((1, 4, 9, 16, 33)),
            draw.choice((1, 1, 2, 3)),
            bias=draw.choice((True, True, True, "single", False)),
            bidirectional=bidirectional,
            reverse=not bidirectional and draw.random() < 0.15,
            masked_output=draw.choice(("zero", "repeat")),
            merge=draw.choice(("concat", "sum", "mean")) if bidirectional else "concat",
            batch_first=draw.random() < 0.3,
            checkpoint_every=draw.choice((None, None, None, 1, 3, "auto")),
            init="torch",
            dtype=draw.choice((torch.float32, torch.float32, torch.float64)),
        )

    def _placed(self, values: Tensor) -> Tensor:
        """The same values, perhaps with gaps between them, or in low memory."""
        chance = self.draw.random()
        if chance < 0.15 and BELOW_4_GIB:
            return low(values)
        if chance < 0.3:
            return torch.stack([values, values], dim=-2)[..., 0, :]
        if chance < 0.4:
            return values.transpose(0, -1).contiguous().transpose(0, -1)
        return values

    def _sequence(self, layer: gatewise.Recurrent) -> None:
        draw, dtype = self.draw, next(layer.parameters()).dtype
        steps, batch = draw.choice((1, 1, 2, 5, 12, 40)), draw.choice((1, 1, 2, 3, 6, 17))
        shape = (batch, steps) if layer.batch_first else (steps, batch)
        x = self._placed(torch.randn(*shape, layer.input_size, dtype=dtype))
        rows = layer.num_layers * (1 + layer.bidirectional)
        hx: list[Tensor] = []
        if draw.random() < 0.5:
            drawn = [torch.randn(rows, batch, layer.hidden_size, dtype=dtype) for _ in layer.cell.states]
            hx = [self._placed(state) for state in possible(layer.cell, drawn)]
        options: dict[str, Any] = {}
        if draw.random() < 0.4:
            lengths = [draw.randint(0, steps) for _ in range(batch)]
            options["lengths"] = draw.choice((lengths, torch.tensor(lengths), torch.tensor(lengths, dtype=torch.int32)))
        if draw.random() < 0.3:
            options["reset"] = torch.rand(shape) < 0.3
        if draw.random() < 0.25:
            options["mask"] = torch.rand(shape) < 0.6
        with ExitStack() as stack:
            gradients = draw.random() < 0.6
            stack.enter_context(torch.set_grad_enabled(gradients))
            if draw.random() < 0.15:
                stack.enter_context(layer.frozen())
            if draw.random() < 0.15:
                stack.enter_context(gatewise.watch(layer))
            self.done.append(
                f"{layer}: x {tuple(x.shape)}, {x.stride()}, {len(hx)} states, {sorted(options)}, {gradients}"
            )
            # Where much cancels, roundings say little.
            actual = call(layer, x, hx, **options)
            with one_thread():
                exact = expected(layer, torch.float64, x, hx, **options)
                plain = exact if dtype == torch.float64 else expected(layer, dtype, x, hx, **options)
            slack = 1e-5 if dtype == torch.float32 else 1e-11
            assert actual.keys() == exact.keys()
            for name, value in exact.items():
                if value.numel():
                    allowed = 2 * (plain[name] - value).abs().max() + slack * (1 + value.abs().max())
                    assert (actual[name] - value).abs().max() <= allowed, name
            again = call(layer, x, hx, **options)
            assert all(torch.equal(again[name], value) for name, value in actual.items()), "other bits"

    @torch.no_grad()
    def _steps(self, layer: gatewise.Recurrent) -> None:
        draw, dtype = self.draw, next(layer.parameters()).dtype
        steps, batch = draw.choice((1, 3, 7)), draw.choice((1, 1, 2, 5))
        x = torch.randn(steps, batch, layer.input_size, dtype=dtype)
        reset = torch.rand(steps, batch) < 0.2 if draw.random() < 0.4 else None
        mask = torch.rand(steps, batch) < 0.7 if draw.random() < 0.3 else None
        self.done.append(f"steps of {layer}: x {tuple(x.shape)}, reset {reset is not None}, mask {mask is not None}")
        if draw.random() < 0.5:
            stream = layer.stream(map(self._placed, x), reset=reset, mask=mask)
            outputs, state = list(stream), stream.state
        else:
            state, outputs = None, []
            for t, x_t in enumerate(x):
                flags = {"reset": None if reset is None else reset[t], "mask": None if mask is None else mask[t]}
                y_t, state = layer.step(self._placed(x_t), state, **flags)
                outputs.append(y_t)
        with one_thread():
            check_steps(layer, outputs, state, x, reset=reset, mask=mask)


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch's small operations take longer on several."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def main() -> int:
    """Seeds until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=None, help="the first; default: of the clock")
    parser.add_argument("--threads", type=int, default=8, help="at most this many")
    parser.add_argument("--calls", type=int, default=60, help="of each seed")
    options = parser.parse_args()
    seed = int(time.time()) if options.seed is None else options.seed
    end, tried, wrong = time.monotonic() + 60 * options.minutes, 0, 0
    while tried == 0 or time.monotonic() < end:
        calls = Calls(seed, threads=options.threads)
        try:
            for _ in range(options.calls):
                calls.one()
        except Exception:
            wrong += 1
            print(f"--- seed {seed}: {traceback.format_exc(limit=-3)}", *calls.done[-6:], sep="\n", flush=True)
        tried, seed = tried + len(calls.done), seed + 1
    print(f"{tried} calls, {wrong} wrong")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
