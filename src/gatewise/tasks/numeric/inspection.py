"""A network on numbers watched while it reads a sequence, and which steps and features its answers rest on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from gatewise.diagnostics import Trace
from gatewise.diagnostics.report_contents import ChangeMap
from gatewise.formatting import aligned, format_number
from gatewise.models.classifier import Classifier
from gatewise.models.erasure import erasure_attributions
from gatewise.models.tagger import Tagger
from gatewise.tasks.inspected import Inspected, bars, largest
from gatewise.tasks.inspection import Report, watched

_MOST_ROWS = 20


class Question(NamedTuple):
    """What is asked of a network about one sequence.

    Attributes:
        answers: the A answers: a label; one for each step; or the features of the next step.
        of_steps: whether there is one for each step.
        unit: what is told of each: "probability", or "value", a number in the units of the data.
        told: that of each answer.
        moved: what parts of the sequence may move: log-odds, or the numbers; (B, A) for steps (T, B, I).
        loss: for steps (T, 1, I), what the gradients are of.
    """

    answers: list[str]
    of_steps: bool
    unit: Literal["probability", "value"]
    told: list[float]
    moved: Callable[[Tensor], Tensor]
    loss: Callable[[Tensor], Tensor]


def log_probabilities(model: Classifier | Tagger, x: Tensor) -> Tensor:
    """The logarithms of the probabilities of labels, float64, for steps (T, B, I) of sequences of one length."""
    return model.read(x, torch.full(x.shape[1:2], len(x))).double().log_softmax(-1)


@dataclass(frozen=True)
class NumericInspection(Inspected):
    """A sequence of numbers that was answered while the network was watched.

    A step is erased by making its features 0, which is their mean where they are scaled; so is a feature, at every
    step.

    Attributes:
        features: the names of the I features.
        steps: T.
        answers: the label, alone; the label of each step; or the names of the features of the next step.
        of_steps: whether there is an answer for each step.
        unit: what is told of each: "probability", or "value", a number in the units of the data.
        told: that of each answer.
        moved: (A, T), by how much step t raises answer a: its log-odds log p/(1 − p), or the number.
        moved_by_features: (A, I), by how much feature i does.
        trace: what was recorded: ``.diagnose()`` has the findings.
    """

    features: list[str]
    steps: int
    answers: list[str]
    of_steps: bool
    unit: Literal["probability", "value"]
    told: list[float]
    moved: Tensor
    moved_by_features: Tensor
    trace: Trace

    def rows(self) -> list[dict[str, Any]]:
        """Each answer, and by how much every step (counted from 1) and every feature moved it."""
        steps = range(1, self.steps + 1)
        parts = zip(self.answers, self.told, self.moved.tolist(), self.moved_by_features.tolist(), strict=True)
        return [
            {
                "answer": answer,
                self.unit: value,
                "moved_by": [[step, by] for step, by in zip(steps, by_steps, strict=True)],
                "moved_by_features": [[name, by] for name, by in zip(self.features, by_features, strict=True)],
            }
            for answer, value, by_steps, by_features in parts
        ]

    def __str__(self) -> str:
        rows = self.rows()
        if len(rows) == 1 and not self.of_steps:
            return self._alone(rows[0])
        lines = [
            [
                *([str(position + 1)] if self.of_steps else []),
                row["answer"],
                format_number(row[self.unit]),
                largest(row["moved_by"], position if self.of_steps else None),
                largest(row["moved_by_features"]),
            ]
            for position, row in enumerate(rows)
        ]
        head = ["step", "label"] if self.of_steps else ["feature of the next step"]
        head = [*head, self.unit, "moved most by steps", "by features"]
        return aligned([head, *lines], "><><<" if self.of_steps else "<><<")

    def _alone(self, row: dict[str, Any]) -> str:
        """One answer, with bars for the steps and features that moved it most."""
        of_steps = sorted(sorted(row["moved_by"], key=lambda item: -abs(item[1]))[:_MOST_ROWS])
        of_features = sorted(row["moved_by_features"], key=lambda item: -abs(item[1]))[:_MOST_ROWS]
        tables = [
            bars("step", [(str(step), value) for step, value in of_steps]),
            bars("feature", [(name, value) for name, value in of_features]),
        ]
        omitted = self.steps - len(of_steps), len(self.features) - len(of_features)
        for index, (count, what) in enumerate(zip(omitted, ("steps", "features"), strict=True)):
            if count:
                tables[index] += f"\n{count:,} {what} with smaller contributions omitted"
        return f"answer: {row['answer']}, {self.unit} {format_number(row[self.unit])}\n" + "\n\n".join(tables)


def inspect_sequence(
    model: Classifier | Tagger, x: Tensor, features: Sequence[str], question: Question, report: Report
) -> NumericInspection:
    """Watch a model read a sequence, find what the answers rest on, and write the report.

    Args:
        model: the model, in evaluation mode.
        x: the steps (T, 1, I) as it reads them.
        features: their I names.
        question: what is asked.
        report: what to write.

    Raises:
        OSError: when the report cannot be written.
    """
    moved = erasure_attributions(x[:, 0], question.moved).T
    by_features = erasure_attributions(x[:, 0], question.moved, "features").T
    trace = watched(model, model.encoder, lambda: question.loss(x))
    steps = [str(number) for number in range(1, len(x) + 1)]
    columns = [_named("feature", feature) for feature in features]
    named = _told(question, "feature" if question.answers == list(features) else "label")
    maps = [
        ChangeMap("What each step adds to the answers, against it being erased", steps, named, moved),
        ChangeMap(
            "What each feature adds to the answers, against it being erased",
            columns,
            named,
            by_features,
            timed=False,
        ),
    ]
    report.write(trace, tokens=steps, changes=maps)
    of_steps, unit, told = question.of_steps, question.unit, question.told
    return NumericInspection(list(features), len(x), question.answers, of_steps, unit, told, moved, by_features, trace)


def _told(question: Question, what: str) -> list[str]:
    """Each answer, of which it is said what it is, with its number: the names of the lines of a map."""
    unit = "probability " if question.unit == "probability" else ""
    if question.of_steps:
        names = [f"step {step}: {answer}," for step, answer in enumerate(question.answers, 1)]
    else:
        names = [f"{_named(what, answer)}:" for answer in question.answers]
    return [f"{name} {unit}{format_number(number)}" for name, number in zip(names, question.told, strict=True)]


def _named(what: str, name: str) -> str:
    """A name, or of what it is one where it is but a number."""
    return f"{what} {name}" if name.isdecimal() else name
