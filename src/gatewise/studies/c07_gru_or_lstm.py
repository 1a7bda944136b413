"""C7: a GRU has fewer parameters and less computation than an LSTM, and trains about as well."""

import math
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from gatewise.cells import lookup
from gatewise.explanations.counts import parameter_count
from gatewise.layers import Clip, Init, Recurrent
from gatewise.models.language_model import LanguageModel
from gatewise.studies.character_model import bits_per_character, corpus, learn_characters
from gatewise.studies.learning import learn
from gatewise.studies.measurements import Measurements
from gatewise.studies.problems import Adding, Network, Problem, TemporalOrder, width_for
from gatewise.studies.statistics import Comparison, compare
from gatewise.studies.study import Budget, Conclusion, Outcome, Reported, Settings, Study, Table, verdict_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PROBLEMS: dict[str, type[Problem]] = {"adding": Adding, "temporal order": TemporalOrder}
_TEXT = "characters"
_TASKS = (*_PROBLEMS, _TEXT)
_CELLS = {"LSTM": "lstm", "GRU": "gru_cudnn"}
_EMBEDDING, _WINDOW = 32, 50
_SIZES: dict[Budget, dict[str, Any]] = {
    "full": {"length": 50, "sequences": 40_000, "parameters": 10_000, "updates": 1500, "width": 96, "steps": 200},
    "quick": {"length": 25, "sequences": 30_000, "parameters": 5_000, "updates": 500, "width": 64, "steps": 100},
    "tiny": {"length": 10, "sequences": 64, "parameters": 300, "updates": 3, "width": 8, "steps": 2},
}


class GruOrLstm(Study):
    """GRU and LSTM at equal parameters and at equal time."""

    name, word = "C7", "gru"
    title = "A GRU is smaller and cheaper than an LSTM, and trains about as well"
    claim = "A GRU has fewer parameters and needs less computation than an LSTM, and trains about as well."
    question = (
        "How many parameters, multiply-adds and seconds does a GRU save at equal width? At equal parameters, does it "
        "need more sequences, or more time, to learn the same?"
    )
    setup = f"""
Three tasks: *adding* and *temporal order* with the published criteria (see C6; chrono initialisation for the length),
and a *character model* of Python's manual (embedding of {_EMBEDDING}, windows of {_WINDOW} characters, 16 streams),
scored in bits per character on the held-out last tenth. Adam, gradient norm clipped at 1. Full: length 50, at most
40,000 sequences, 10,000 parameters; 1,500 updates, an LSTM of 96 units. Quick: length 25, at most 30,000 sequences,
5,000 parameters; 500 updates, 64 units. The GRU is the form of cuDNN and torch.

Seconds are measured for training steps of both cells in turns (median), within the process of the seed. Multiply-adds
are the entries of the weight matrices: each is used once for every step and sequence.
"""
    equal = "parameters of the layer (nearest width); also width, for what is counted and timed; data and updates"
    prediction = """
At equal width the GRU has three quarters of the parameters of the weight matrices, and of the multiply-adds, by
count; its training step takes less time, by less than a quarter. At equal parameters the GRU needs no more sequences
than the LSTM on adding and temporal order, and on characters it is within 0.05 bits of the LSTM.

Rule: "cheaper" is met if the step of the GRU of equal width takes clearly less time on every task. "About as well" is
met on a task if the GRU at equal parameters is not clearly worse, once by sequences or updates, once at equal time
(characters: the loss of both after the time that the faster one needs for all of its updates; others: seconds until
solved; a run that is not solved counts with all of its sequences). The claim holds if both are met on all tasks,
depends on the task if "cheaper" is met and "about as well" on some tasks, and else does not hold here.
"""
    literature = (
        Reported(
            "With a forget bias of 1 the LSTM closes most of its gap to the GRU over many tasks.",
            "Jozefowicz, Zaremba & Sutskever 2015, ICML",
        ),
        Reported(
            "On JSB chorales at about 300,000 parameters: LSTM 8.45, GRU 8.43, RNN 8.91 nats for a step.",
            "Bai, Kolter & Koltun 2018, arXiv:1803.01271",
        ),
    )
    learning_rates = (1e-3, 3e-3, 1e-2)

    def tuned(self, budget: Budget) -> dict[str, Settings]:
        sizes = _SIZES[budget]
        return {
            f"{task}, {cell}": {"task": task, "cell": cell, "share": 0.5, **sizes} for task in _TASKS for cell in _CELLS
        }

    def conditions(self, budget: Budget, rates: Mapping[str, float]) -> dict[str, Settings]:
        learned: dict[str, Settings] = {
            name: {**settings, "share": 1.0, "rate": rates[name]} for name, settings in self.tuned(budget).items()
        }
        timed: dict[str, Settings] = {
            f"{task}, time of a step": {"task": task, "cell": "both", **_SIZES[budget]} for task in _TASKS
        }
        return learned | timed

    def measure(self, settings: Settings, seed: int) -> Outcome:
        if settings["cell"] == "both":
            return _measure_time(settings)
        return _learn_text(settings, seed) if settings["task"] == _TEXT else _learn(settings, seed)

    def conclude(self, measured: Measurements) -> Conclusion:
        cheaper = [
            compare(
                f"{task}: GRU / LSTM of equal width, time of a step",
                "(logarithm of the ratio)",
                [math.log(value) for value in measured.values(f"{task}, time of a step", "gru_of_equal_width")],
                [math.log(value) for value in measured.values(f"{task}, time of a step", "lstm")],
            )
            for task in _TASKS
        ]
        worse = {task: _worse(measured, task) for task in _TASKS}
        is_cheaper = all(one.is_clearly_less for one in cheaper)
        as_well = [task for task, comparisons in worse.items() if not any(one.is_clearly_more for one in comparisons)]
        ratios = ", ".join(f"{task} {math.exp(one.mean):.2f}" for task, one in zip(_TASKS, cheaper, strict=True))
        return Conclusion(
            verdict_of(len(as_well) if is_cheaper else 0, len(_TASKS), "the task"),
            f"At equal width a training step of the GRU takes this share of the LSTM's time: {ratios}; its weight "
            f"matrices have three quarters of the entries. At equal parameters the GRU is not clearly worse on "
            f"{', '.join(as_well) or 'any task'}.",
            (_size_table(measured), _learned_table(measured)),
            (*cheaper, *(one for comparisons in worse.values() for one in comparisons)),
        )

    def draw(self, measured: Measurements, figure: "Figure") -> None:
        for axes, task in zip(figure.subplots(1, len(_TASKS)), _TASKS, strict=True):
            for index, cell in enumerate(_CELLS):
                for seed, curve in enumerate(measured.values(f"{task}, {cell}", "curve")):
                    counts, losses = zip(*curve, strict=True)
                    seconds = _seconds(measured, task, cell)[seed]
                    per_unit = seconds if task == _TEXT else seconds / 16
                    times = [count * per_unit for count in counts]
                    axes.plot(times, losses, color=f"C{index}", alpha=0.5, label=cell if seed == 0 else None)
            axes.set(title=task, xlabel="seconds of training")
            if task != _TEXT:
                axes.set_yscale("log")
            axes.grid(alpha=0.3)
        figure.axes[0].set_ylabel("training loss (characters: bits), each seed")
        figure.axes[0].legend()


def _width(task: str, cell: str, settings: Settings) -> int:
    """The width at which the layer of a task has as many parameters as that of the LSTM."""
    if task == _TEXT:
        parameters = parameter_count(lookup("lstm"), _EMBEDDING, settings["width"])
        return width_for(_CELLS[cell], _EMBEDDING, parameters)
    return width_for(_CELLS[cell], _PROBLEMS[task].input_size, settings["parameters"])


def _layer(task: str, cell: str, settings: Settings, width: int | None = None) -> Recurrent:
    """The layer of a task, by default with as many parameters as the LSTM."""
    width = width or _width(task, cell, settings)
    if task == _TEXT:
        return Recurrent(_CELLS[cell], _EMBEDDING, width)
    return Recurrent(_CELLS[cell], _PROBLEMS[task].input_size, width, init=Init(chrono=settings["length"]))


def _learn(settings: Settings, seed: int) -> Outcome:
    problem = _PROBLEMS[settings["task"]](settings["length"])
    layer = _layer(settings["task"], settings["cell"], settings)
    sequences = int(settings["share"] * settings["sequences"])
    training = learn(
        problem,
        Network(layer, problem),
        torch.Generator().manual_seed(seed),
        rate=settings["rate"],
        sequences=sequences,
        clip=Clip(norm=1.0),
    )
    return {"score": training.score(sequences), "amount": training.sequences, **training.as_outcome()}


def _learn_text(settings: Settings, seed: int) -> Outcome:
    cell = _CELLS[settings["cell"]]
    width = _width(_TEXT, settings["cell"], settings)
    model = LanguageModel(corpus().size, _EMBEDDING, width, cell=cell)
    updates = int(settings["share"] * settings["updates"]) or 1
    curve = learn_characters(model, seed=seed, rate=settings["rate"], updates=updates, window=_WINDOW)
    bits = bits_per_character(model)
    return {"score": bits, "bits_per_character": bits, "curve": curve}


def _measure_time(settings: Settings) -> Outcome:
    """Seconds of a training step of LSTM, GRU of equal parameters and of equal width, in turns; what each has."""
    task = settings["task"]
    lstm = _layer(task, "LSTM", settings)
    layers = {
        "lstm": lstm,
        "gru": _layer(task, "GRU", settings),
        "gru_of_equal_width": _layer(task, "GRU", settings, lstm.hidden_size),
    }
    times: dict[str, list[float]] = {name: [] for name in layers}
    steps = _WINDOW if task == _TEXT else settings["length"]
    x = torch.randn(steps, 16, lstm.input_size)
    for turn in range(settings["steps"] + 2):
        for name, layer in layers.items():
            began_at = time.perf_counter()
            layer(x)[0].sum().backward()
            layer.zero_grad()
            if turn >= 2:
                times[name].append(time.perf_counter() - began_at)
    found: dict[str, Any] = {name: sorted(of)[len(of) // 2] for name, of in times.items()}
    for name, layer in layers.items():
        found[f"{name}_width"] = layer.hidden_size
        found[f"{name}_parameters"] = sum(one.numel() for one in layer.parameters())
        found[f"{name}_multiply_adds"] = sum(one.numel() for one in layer.parameters() if one.dim() == 2)
    return found


def _seconds(measured: Measurements, task: str, cell: str) -> list[float]:
    return measured.values(f"{task}, time of a step", cell.lower())


def _worse(measured: Measurements, task: str) -> tuple[Comparison, Comparison]:
    """GRU minus LSTM at equal parameters, by amount and at equal time; positive is worse."""
    if task != _TEXT:
        amounts = {cell: [math.log2(one) for one in measured.values(f"{task}, {cell}", "amount")] for cell in _CELLS}
        times = {
            cell: [
                amount + math.log2(seconds)
                for amount, seconds in zip(amounts[cell], _seconds(measured, task, cell), strict=True)
            ]
            for cell in _CELLS
        }
        return (
            compare(f"{task}: GRU − LSTM, sequences until solved", "doublings", amounts["GRU"], amounts["LSTM"]),
            compare(f"{task}: GRU − LSTM, seconds until solved", "doublings", times["GRU"], times["LSTM"]),
        )
    bits = {cell: measured.values(f"{task}, {cell}", "bits_per_character") for cell in _CELLS}
    equal: dict[str, list[float]] = {cell: [] for cell in _CELLS}
    for seed in range(len(measured.seeds)):
        curves = {cell: measured.values(f"{task}, {cell}", "curve")[seed] for cell in _CELLS}
        seconds = {cell: _seconds(measured, task, cell)[seed] for cell in _CELLS}
        limit = min(curves[cell][-1][0] * seconds[cell] for cell in _CELLS)
        for cell in _CELLS:
            reached = [loss for count, loss in curves[cell] if count * seconds[cell] <= limit * (1 + 1e-9)]
            equal[cell].append(reached[-1] if reached else curves[cell][0][1])
    return (
        compare(f"{task}: GRU − LSTM, held-out loss after all updates", "bits", bits["GRU"], bits["LSTM"]),
        compare(f"{task}: GRU − LSTM, training loss at equal time", "bits", equal["GRU"], equal["LSTM"]),
    )


def _size_table(measured: Measurements) -> Table:
    rows: list[tuple[str, ...]] = []
    for task in _TASKS:
        for name, label in (
            ("lstm", "LSTM"),
            ("gru", "GRU, equal parameters"),
            ("gru_of_equal_width", "GRU, equal width"),
        ):
            outcomes = measured.outcomes[f"{task}, time of a step"]
            counts = (f"{outcomes[0][f'{name}_{what}']:,}" for what in ("width", "parameters", "multiply_adds"))
            times = sorted(1e3 * outcome[name] for outcome in outcomes)
            rows.append((task, label, *counts, f"{times[len(times) // 2]:.2f} ({times[0]:.2f}–{times[-1]:.2f})"))
    columns = (
        "task",
        "layer",
        "units",
        "parameters",
        "multiply-adds for a step",
        "ms for 16 sequences, forward and back",
    )
    return Table("Sizes and times of a layer (median over seeds, range)", columns, tuple(rows))


def _learned_table(measured: Measurements) -> Table:
    rows: list[tuple[str, ...]] = []
    for task in _TASKS:
        for cell in _CELLS:
            name = f"{task}, {cell}"
            if task == _TEXT:
                values = ", ".join(f"{bits:.3f}" for bits in sorted(measured.values(name, "bits_per_character")))
            else:
                solved = [one for one in measured.values(name, "solved_after") if one is not None]
                values = ", ".join(f"{count:,}" for count in sorted(solved)) or "none solved"
            rows.append((task, cell, values))
    columns = ("task", "cell", "sequences until solved; held-out bits per character; each seed")
    return Table("What was learned at equal parameters", columns, tuple(rows))
