"""C9: bidirectional networks beat one-directional ones where future context matters."""

import io
from collections.abc import Mapping
from contextlib import redirect_stderr
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

from gatewise.studies.measurements import Measurements
from gatewise.studies.statistics import compare
from gatewise.studies.study import Budget, Conclusion, Outcome, Reported, Settings, Study, Table, verdict_of
from gatewise.tasks import train

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class _Task(NamedTuple):
    """A task of `gatewise.train`.

    Attributes:
        task: its name there.
        measure: the held-out score; higher is better.
        options: options of both sides.
        hidden: the widths of each of two directions, and of one, at which the models have equally many parameters.
    """

    task: str
    measure: str
    options: Mapping[str, Any]
    hidden: tuple[int, int]


_TASKS = {
    "tagging": _Task("tag", "accuracy", {"embedding_size": 32}, (40, 62)),
    "classification": _Task(
        "classify", "accuracy", {"embedding_size": 32, "spelling": "none", "longest": 80, "lr": 3e-3}, (32, 50)
    ),
    "encoder": _Task("seq2seq", "token_accuracy", {"embedding_size": 32}, (64, 84)),
}
_SIDES = {"two directions": True, "one direction": False}
_EPOCHS: dict[Budget, dict[str, int]] = {
    "full": {"tagging": 1, "classification": 4, "encoder": 2},
    "quick": {"tagging": 1, "classification": 2, "encoder": 1},
    "tiny": {"tagging": 1, "classification": 1, "encoder": 1},
}
_TINY = {
    "tag": "x O\ny O\nx I\n\n" * 40,
    "classify": "text\tlabel\n" + "a b\tp\nc d\tq\n" * 40,
    "seq2seq": "source\ttarget\n" + "a b\tb a\nc d\td c\n" * 40,
}


class Directions(Study):
    """Two directions against one at equal parameters."""

    name, word = "C9", "bidirectional"
    title = "Bidirectional networks beat one-directional ones where future context matters"
    claim = (
        "Bidirectional networks beat one-directional ones where future context matters: tagging, classification, the "
        "encoder of sequence to sequence."
    )
    question = (
        "At equal parameters, and the same training, which scores better on held-out data, on each of three tasks?"
    )
    setup = """
The three tasks as `gatewise train` sets them up on the data that every machine has: *tagging* (`tag`), the token
types of Python programs, character by character; *classification* (`classify`), docstrings by package, the first 80
words; *encoder* (`seq2seq`), dates and numbers in words to their normal forms, with attention. LSTM (seq2seq: GRU),
embeddings of 32, dropout, learning rates and schedules at the defaults of each task (classification: 0.003). Widths
are 40, 32 and 64 for each of two directions and 62, 50 and 84 for one. Full: 1, 4 and 2 epochs. Quick: 1, 2 and 1
epochs. Scored: the accuracy of tags, of classes, and of target tokens given those before.
"""
    equal = "parameters of the whole model within 1 %, data, epochs, options; a side's width differs"
    prediction = """
Two directions are clearly better on tagging, where a character's type is often decided by the next ones, and for the
encoder, whose attention otherwise points at states that have not read the rest of a number. On classification, whose
pooling sees all states anyway, the difference is not clear.

Rule: the claim holds on a task if two directions are clearly better. It holds if so on all three tasks, depends on
the task if so on some, and else does not hold here.
"""
    literature = (
        Reported(
            "Bidirectional LSTM networks classify framewise phonemes better than unidirectional ones.",
            "Graves & Schmidhuber 2005, Neural Networks 18(5-6)",
        ),
        Reported(
            "Bidirectional networks use all available input in both time directions.",
            "Schuster & Paliwal 1997, IEEE Transactions on Signal Processing 45(11)",
        ),
    )

    def conditions(self, budget: Budget, rates: Mapping[str, float]) -> dict[str, Settings]:
        return {
            f"{name}, {side}": {
                "task": name,
                "side": side,
                "epochs": _EPOCHS[budget][name],
                "hidden": _TASKS[name].hidden[0 if bidirectional else 1],
                "tiny": budget == "tiny",
            }
            for name in _TASKS
            for side, bidirectional in _SIDES.items()
        }

    def measure(self, settings: Settings, seed: int) -> Outcome:
        task = _TASKS[settings["task"]]
        # Training reports on the standard error, where the progress of the study is shown.
        with TemporaryDirectory() as folder, redirect_stderr(io.StringIO()):
            data: dict[str, Any] = {}
            if settings["tiny"]:
                path = Path(folder) / ("data.conll" if task.task == "tag" else "data.tsv")
                path.write_text(_TINY[task.task], encoding="utf-8")
                data = {"data": path}
            trained: Any = train(
                task.task,
                out=Path(folder) / "run",
                seed=seed,
                hidden=settings["hidden"],
                epochs=settings["epochs"],
                bidirectional=_SIDES[settings["side"]],
                device="cpu",
                **task.options,
                **data,
            )
            scores = trained.evaluate()["held_out"]
            return {
                "score": scores[task.measure],
                "loss": scores["loss"],
                "parameters": sum(one.numel() for one in trained.model.parameters()),
            }

    def conclude(self, measured: Measurements) -> Conclusion:
        comparisons = {
            name: compare(
                f"{name}: two directions − one, {task.measure.replace('_', ' ')}",
                "points",
                *([100 * value for value in measured.values(f"{name}, {side}", "score")] for side in _SIDES),
            )
            for name, task in _TASKS.items()
        }
        held = [name for name, one in comparisons.items() if one.is_clearly_more]
        gains = ", ".join(f"{name} {one.mean:+.1f}" for name, one in comparisons.items())
        return Conclusion(
            verdict_of(len(held), len(_TASKS), "the task"),
            f"Two directions are clearly better on {', '.join(held) or 'no task'}. Mean gain in points of accuracy: "
            f"{gains}.",
            (_table(measured),),
            tuple(comparisons.values()),
        )

    def draw(self, measured: Measurements, figure: "Figure") -> None:
        for axes, (name, task) in zip(figure.subplots(1, len(_TASKS)), _TASKS.items(), strict=True):
            of_sides = [measured.values(f"{name}, {side}", "score") for side in _SIDES]
            for seed, pair in enumerate(zip(*of_sides, strict=True)):
                axes.plot(range(len(_SIDES)), pair, "o-", color="C0", alpha=0.5, label=None if seed else "a seed")
            axes.set_xticks(
                range(len(_SIDES)), [f"{side}\n{task.hidden[index]} units" for index, side in enumerate(_SIDES)]
            )
            axes.set_xlim(-0.4, 1.4)
            axes.set(title=name, ylabel=task.measure.replace("_", " "))
            axes.grid(axis="y", alpha=0.3)


def _table(measured: Measurements) -> Table:
    rows: list[tuple[str, ...]] = []
    for name in _TASKS:
        for side in _SIDES:
            scores = sorted(measured.values(f"{name}, {side}", "score"))
            parameters = measured.values(f"{name}, {side}", "parameters")[0]
            rows.append((name, side, f"{parameters:,}", ", ".join(f"{100 * score:.1f}" for score in scores)))
    return Table("Held-out accuracy in percent, each seed", ("task", "side", "parameters", "accuracy"), tuple(rows))
