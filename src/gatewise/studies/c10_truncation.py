"""C10: truncated back-propagation through time trades the length of what can be learned for cost and memory."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from gatewise.layers import TBPTT, Clip, Init, Recurrent
from gatewise.models.language_model import LanguageModel
from gatewise.studies.character_model import (
    bits_per_character,
    bits_without,
    corpus,
    learn_characters,
)
from gatewise.studies.measurements import Measurements
from gatewise.studies.statistics import compare, share
from gatewise.studies.study import Budget, Conclusion, Outcome, Reported, Settings, Study, Table, verdict_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BATCH, _WIDTH = 16, 32
_RIGHT = 0.99
_DISTANCES = (1, 2, 5, 10, 20, 50, 100)
_WHOLE = 200
_SIZES: dict[Budget, dict[str, Any]] = {
    "full": {
        "delays": (8, 16, 32),
        "windows": (4, 8, 16, 32, 64),
        "steps": 12_000,
        "text_windows": (5, 20, 80),
        "characters": 40_000,
        "width": 96,
    },
    "quick": {
        "delays": (8, 32),
        "windows": (4, 16, 64),
        "steps": 8_000,
        "text_windows": (5, 80),
        "characters": 24_000,
        "width": 64,
    },
    "tiny": {
        "delays": (4,),
        "windows": (2, 8),
        "steps": 64,
        "text_windows": (5,),
        "characters": 160,
        "width": 8,
    },
}


class Truncation(Study):
    """Windows of truncated back-propagation against the length of dependencies, with time and memory."""

    name, word = "C10", "truncation"
    title = "Truncated BPTT trades the length of what can be learned for cost and memory"
    claim = (
        "Truncated back-propagation through time bounds cost and memory by its window, and with it the length of the "
        "dependencies that can be learned."
    )
    question = (
        "Which delays does an LSTM learn with which window, if its state is carried from window to window? What do "
        "time and memory of an update cost? How far back does a character model look, trained with short "
        "and long windows?"
    )
    setup = f"""
*Delays.* A stream in which a bit is shown at random times and asked for d steps later, noise between; the next bit
comes 1 to 10 steps after the answer. {_BATCH} streams; an LSTM of {_WIDTH} units with chrono initialisation for 2 d,
Adam at 0.01, gradient norm clipped at 1. `TBPTT(k1=k/2, k2=k)`: an update every k/2 steps, whose losses see k/2 to k
steps back; the state is carried. Solved: at least 99 % of the answers in the last tenth of the stream are right.
Full: d = 8, 16, 32, windows k = 4 to 64, 12,000 steps. Quick: d = 8, 32, k = 4, 16, 64, 8,000 steps.

*Text.* A character model (an LSTM of 96 units; quick: 64) of Python's manual, trained with consecutive windows of 5,
20 and 80 characters (quick: 5, 80) on the same number of characters. Then, as Khandelwal et al. 2018 did with words,
the context beyond the nearest k characters is shuffled, or replaced by other text, and the loss of the next character
measured against that with the whole context.

Memory: bytes that autograd saves for the backward pass of a window. Time: of a whole update, per step of the stream.
"""
    equal = "network, initial weights, streams and the number of steps; only the window differs"
    prediction = """
A delay is learned by all seeds when the window is at least 2 d, so that every answer's loss sees its bit, and by none
when the window is at most d / 2. In between it depends on the seed, more often solved than not from k = d on, because
some answers see their bit. Memory grows in proportion to the window; time for a step falls with it, because the cost
of an update is shared by more steps, so that in time short windows are dearer here, not cheaper. The character model
trained with windows of 80 looks further back than that with windows of 5: destroying all but the nearest 10
characters costs it more.

Rule: the claim holds if (1) solutions with windows of at least 2 d are clearly more than with windows of at most d /
2 (paired by seed, counted over the delays), (2) the bytes of the longest window are more than 4 times those of the
shortest, and (3) the loss of order beyond 10 characters costs the model of the longest window clearly more than that
of the shortest. It depends on the task if only one of (1) and (3) is met, together with (2), and else does not hold
here. With a single text window, as in tests, (3) counts as not met.
"""
    literature = (
        Reported(
            "A language model uses about 200 words of context, and their order only within the nearest 50.",
            "Khandelwal, He, Qi & Jurafsky 2018, arXiv:1805.04623",
        ),
        Reported(
            "BPTT(h; h′): an update every h′ steps through the last h steps.",
            "Williams & Peng 1990, Neural Computation 2(4)",
        ),
    )

    def conditions(self, budget: Budget, rates: Mapping[str, float]) -> dict[str, Settings]:
        sizes = _SIZES[budget]
        delays: dict[str, Settings] = {
            f"delay {delay}, window {window}": {
                "kind": "delay",
                "delay": delay,
                "window": window,
                "steps": sizes["steps"],
            }
            for delay in sizes["delays"]
            for window in sizes["windows"]
        }
        texts: dict[str, Settings] = {
            f"text, window {window}": {
                "kind": "text",
                "window": window,
                "characters": sizes["characters"],
                "width": sizes["width"],
            }
            for window in sizes["text_windows"]
        }
        return delays | texts

    def measure(self, settings: Settings, seed: int) -> Outcome:
        return _measure_delay(settings, seed) if settings["kind"] == "delay" else _measure_text(settings, seed)

    def conclude(self, measured: Measurements) -> Conclusion:
        long = _solved_where(measured, lambda window, delay: window >= 2 * delay)
        short = _solved_where(measured, lambda window, delay: 2 * window <= delay)
        delays = compare("windows k ≥ 2 d − windows k ≤ d / 2: solved", "share of the conditions", long, short)
        windows = sorted({measured.settings[name]["window"] for name in measured.where(kind="text")})
        lost = {
            window: [_cost(outcome, "order", 10) for outcome in measured.outcomes[f"text, window {window}"]]
            for window in windows
        }
        text = compare(
            f"windows of {windows[-1]} − windows of {windows[0]}: cost of shuffling all but the nearest 10 characters",
            "bits",
            lost[windows[-1]],
            lost[windows[0]],
        )
        memory = _means(measured, "bytes")
        seconds = _means(measured, "seconds_per_step")
        growth = memory[max(memory)] / memory[min(memory)]
        slower = seconds[max(seconds)] / seconds[min(seconds)]
        learned, looked = (one.is_clearly_more for one in (delays, text))
        return Conclusion(
            verdict_of(learned + looked if growth > 4 else 0, 2, "the task"),
            f"Windows of at least twice the delay solve {_percent(long)} of their conditions, windows of at most half "
            f"of it {_percent(short)}. The longest window saves {growth:.0f} times the bytes of the shortest, and a "
            f"step takes {slower:.2f} times as long. Shuffling all but the nearest 10 characters costs the model of "
            f"windows of {windows[-1]} {text.mean:+.3f} bits more than that of windows of {windows[0]}.",
            (_delay_table(measured), _cost_table(memory, seconds), _text_table(measured)),
            (delays, text),
            ("Times were measured beside another process, and say no more than orders of magnitude.",),
        )

    def draw(self, measured: Measurements, figure: "Figure") -> None:
        left, right = figure.subplots(1, 2)
        delays = sorted({measured.settings[name]["delay"] for name in measured.where(kind="delay")})
        for index, delay in enumerate(delays):
            names = measured.where(kind="delay", delay=delay)
            windows = [measured.settings[name]["window"] for name in names]
            accuracy = [measured.values(name, "accuracy") for name in names]
            for seed in range(len(measured.seeds)):
                left.plot(windows, [of[seed] for of in accuracy], ".", color=f"C{index}", alpha=0.4)
            means = [sum(of) / len(of) for of in accuracy]
            left.plot(windows, means, "-", color=f"C{index}", label=f"d = {delay}")
            left.axvline(delay, color=f"C{index}", linestyle=":", alpha=0.6)
        left.set_xscale("log", base=2)
        left.set(xlabel="window k (dotted: k = d)", ylabel="right answers in the last tenth", title="Delays")
        left.legend()
        for index, name in enumerate(measured.where(kind="text")):
            for how, style in (("order", "-"), ("content", "--")):
                costs = [[_cost(outcome, how, k) for k in _DISTANCES] for outcome in measured.outcomes[name]]
                means = [sum(of) / len(of) for of in zip(*costs, strict=True)]
                label = f"{name.removeprefix('text, ')}: {'shuffled' if how == 'order' else 'replaced'}"
                right.plot(_DISTANCES, means, style, color=f"C{index}", label=label)
                for of in costs:
                    right.plot(_DISTANCES, of, ".", color=f"C{index}", alpha=0.25)
        right.set_xscale("log")
        right.set(xlabel="nearest characters left intact", ylabel="bits more than with all context", title="Text")
        right.legend()
        for axes in (left, right):
            axes.grid(alpha=0.3)


def _stream(steps: int, delay: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Inputs (T, B, 3): bit when it is shown, its sign of being shown, the question; answers (T, B): −1, or the bit."""
    inputs = torch.zeros(steps, _BATCH, 3)
    answers = torch.full((steps, _BATCH), -1)
    for row in range(_BATCH):
        waits = torch.randint(1, 11, (steps // (delay + 1) + 1,), generator=generator)
        steps_shown = torch.cumsum(waits + delay, 0) - delay - 1
        steps_shown = steps_shown[steps_shown + delay < steps]
        bits = torch.randint(2, steps_shown.shape, generator=generator)
        inputs[steps_shown, row, 0] = 2.0 * bits - 1
        inputs[steps_shown, row, 1] = 1
        inputs[steps_shown + delay, row, 2] = 1
        answers[steps_shown + delay, row] = bits
    noise = torch.randn(steps, _BATCH, generator=generator) * 0.1
    inputs[..., 0] += noise
    return inputs, answers


def _measure_delay(settings: Settings, seed: int) -> Outcome:
    delay, window, steps = settings["delay"], settings["window"], settings["steps"]
    inputs, answers = _stream(steps, delay, torch.Generator().manual_seed(seed))
    layer = Recurrent("lstm", 3, _WIDTH, init=Init(chrono=2 * delay))
    model = _Answering(layer)
    optimiser, clip = torch.optim.Adam(model.parameters(), 0.01), Clip(norm=1.0)
    right = asked = saved = 0
    began_at = time.perf_counter()
    for part in TBPTT(window // 2, window).windows(inputs, answers):
        counted = part.target >= 0
        with _counting_saved() as bytes_saved:
            scores = part.run(model)
            flat, target = scores.flatten(0, 1), part.target.flatten()
            loss = nn.functional.cross_entropy(flat, target, ignore_index=-1, reduction="sum")
        saved = max(saved, sum(bytes_saved))
        if not counted.any():
            continue
        optimiser.zero_grad()
        (loss / counted.sum()).backward()
        clip(model)
        optimiser.step()
        if part.end > 0.9 * steps:
            right += int((scores.detach().argmax(-1) == part.target)[counted].sum())
            asked += int(counted.sum())
    accuracy = right / max(1, asked)
    return {
        "accuracy": accuracy,
        "solved": accuracy >= _RIGHT,
        "bytes": saved,
        "seconds_per_step": (time.perf_counter() - began_at) / steps,
    }


class _Answering(nn.Module):
    def __init__(self, layer: Recurrent) -> None:
        super().__init__()
        self.layer, self.readout = layer, nn.Linear(layer.hidden_size, 2)

    def forward(self, x: Tensor, state: object = None) -> tuple[Tensor, object]:
        output, state = self.layer(x, state)
        return self.readout(output), state


@contextmanager
def _counting_saved() -> Iterator[list[int]]:
    """The bytes of each tensor that autograd saves in the block, those of parameters aside."""
    sizes: list[int] = []

    def pack(tensor: Tensor) -> Tensor:
        if not isinstance(tensor, nn.Parameter):
            sizes.append(tensor.numel() * tensor.element_size())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield sizes


def _measure_text(settings: Settings, seed: int) -> Outcome:
    model = LanguageModel(corpus().size, 32, settings["width"])
    window = settings["window"]
    updates = settings["characters"] // window
    curve = learn_characters(model, seed=seed, rate=0.003, updates=updates, window=window)
    return {
        "bits_per_character": bits_per_character(model),
        "whole_context": bits_without(model, _WHOLE, "order", seed=seed),
        **{how: [bits_without(model, k, how, seed=seed) for k in _DISTANCES] for how in ("order", "content")},
        "curve": curve,
    }


def _cost(outcome: Outcome, how: str, beyond: int) -> float:
    """The bits that destroying the context beyond some characters costs."""
    return outcome[how][_DISTANCES.index(beyond)] - outcome["whole_context"]


def _solved_where(measured: Measurements, which: Callable[[int, int], bool]) -> list[float]:
    """For each seed, the share of the conditions of such windows and delays that are solved."""
    names = [
        name
        for name in measured.where(kind="delay")
        if which(measured.settings[name]["window"], measured.settings[name]["delay"])
    ]
    of_conditions = [measured.values(name, "solved") for name in names]
    return [sum(of_seed) / len(of_seed) for of_seed in zip(*of_conditions, strict=True)]


def _percent(shares: list[float]) -> str:
    return f"{100 * sum(shares) / len(shares):.0f} %"


def _means(measured: Measurements, key: str) -> dict[int, float]:
    """The mean of a value over delays and seeds, by window."""
    found: dict[int, list[float]] = {}
    for name in measured.where(kind="delay"):
        found.setdefault(measured.settings[name]["window"], []).extend(measured.values(name, key))
    return {window: sum(values) / len(values) for window, values in sorted(found.items())}


def _delay_table(measured: Measurements) -> Table:
    names = measured.where(kind="delay")
    delays = sorted({measured.settings[name]["delay"] for name in names})
    windows = sorted({measured.settings[name]["window"] for name in names})
    rows = [
        (
            f"{delay}",
            *(
                share(sum(measured.values(f"delay {delay}, window {window}", "solved")), len(measured.seeds))
                for window in windows
            ),
        )
        for delay in delays
    ]
    columns = ("delay d", *(f"k = {window}" for window in windows))
    return Table("Seeds that learned each delay (95 % interval of the share)", columns, tuple(rows))


def _cost_table(memory: Mapping[int, float], seconds: Mapping[int, float]) -> Table:
    rows = [(f"{window}", f"{memory[window] / 1024:,.0f} KiB", f"{1e6 * seconds[window]:,.0f} µs") for window in memory]
    columns = ("window k", "saved for the backward pass", "time for a step of all streams")
    return Table("What a window costs, mean over delays and seeds", columns, tuple(rows))


def _text_table(measured: Measurements) -> Table:
    rows: list[tuple[str, ...]] = []
    for name in measured.where(kind="text"):
        outcomes = measured.outcomes[name]
        bits = f"{sum(measured.values(name, 'bits_per_character')) / len(outcomes):.3f}"
        for how in ("order", "content"):
            costs = (sum(_cost(outcome, how, k) for outcome in outcomes) / len(outcomes) for k in _DISTANCES)
            destroyed = "shuffled" if how == "order" else "replaced"
            rows.append((f"{measured.settings[name]['window']}", bits, destroyed, *(f"{cost:+.3f}" for cost in costs)))
    columns = ("window", "bits per character", "beyond", *(f"k = {k}" for k in _DISTANCES))
    return Table("Bits that destroying the context beyond the nearest k characters costs, mean", columns, tuple(rows))
