"""A trained model watched while it reads, and what its answers rest on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gatewise.diagnostics import Trace, watch
from gatewise.diagnostics.report_contents import Heading
from gatewise.formatting import aligned, format_number
from gatewise.models.classifier import Classifier
from gatewise.models.erasure import erasure_attributions
from gatewise.models.tagger import Tagger
from gatewise.tasks.inspected import Inspected, bars, escaped, largest
from gatewise.tasks.run_folder import RunFolder
from gatewise.tasks.token_reader import TokenReader


@dataclass(frozen=True)
class Report:
    """A report to write.

    Attributes:
        path: of the page.
        heading: what it says of the run.
    """

    path: Path
    heading: Heading

    def write(self, trace: Trace, **shown: Any) -> None:
        """Write what was recorded, and what else `Trace.report` takes.

        Raises:
            OSError: when it cannot be written.
        """
        trace.report(self.path, heading=self.heading, **shown)


def requested_report(
    folder: RunFolder, out: str | Path | None, steps: int, least: int = 1, what: str = "tokens"
) -> Report:
    """The report to write of so many steps.

    Args:
        folder: the run folder, where it stands by default.
        out: where else.
        steps: the number of steps to read, at most.
        least: how many there must be.
        what: what a step is.

    Raises:
        ValueError: for fewer steps, or a report whose folder is missing.
    """
    if steps < least:
        raise ValueError(f"steps: expected a number of {what}, at least {least}, got {steps}")
    path = folder.report if out is None else Path(out)
    if not path.parent.is_dir():
        raise ValueError(f"{path}: its folder does not exist; make it, or choose another --out")
    return Report(path, heading_of(folder))


def heading_of(folder: RunFolder) -> Heading:
    """The run's name, what it learned from, and when it began."""
    told = folder.read_description()
    facts = {"task": told["task"], "data": told.get("source")}
    if "created" in told:
        facts["trained"] = f"{str(told['created'])[:16].replace('T', ' ')} UTC"
    return Heading(folder.path.resolve().name, {name: str(fact) for name, fact in facts.items() if fact})


def watched(model: nn.Module, part: nn.Module, loss: Callable[[], Tensor]) -> Trace:
    """Watch a part of a model through one forward and backward pass; gradients are left as they were.

    Args:
        model: the model.
        part: what is watched of it.
        loss: makes the model read, and returns the loss.

    Returns:
        what was recorded, with every step's states and gradients.
    """
    before = [parameter.grad for parameter in model.parameters()]
    try:
        with watch(part, gates=True) as trace:
            loss().backward()
    finally:
        for parameter, gradient in zip(model.parameters(), before, strict=True):
            parameter.grad = gradient
    return trace


@dataclass(frozen=True)
class Inspection(Inspected):
    """A text that was labelled or tagged while the network was watched.

    Attributes:
        tokens: the T tokens that were read.
        answers: the label, alone; or the tag of each token.
        probabilities: of each answer.
        moved: (A, T), by how much token t raises the log-odds of answer a, log p/(1 − p), see
            `gatewise.models.erasure.erasure_attributions`. An answer that is sure anyway still shows what it rests on.
        trace: what was recorded: ``.diagnose()`` has the findings.
    """

    tokens: list[str]
    answers: list[str]
    probabilities: list[float]
    moved: Tensor
    trace: Trace

    def rows(self) -> list[dict[str, Any]]:
        """Each answer with its probability and by how much every token moved its log-odds."""
        return [
            {
                "answer": answer,
                "probability": probability,
                "moved_by": [[token, value] for token, value in zip(self.tokens, values, strict=True)],
            }
            for answer, probability, values in zip(self.answers, self.probabilities, self.moved.tolist(), strict=True)
        ]

    def __str__(self) -> str:
        rows = self.rows()
        if len(rows) == 1:
            (label,) = rows
            table = bars("token", [(escaped(token), value) for token, value in label["moved_by"]])
            return f"answer: {label['answer']}, probability {format_number(label['probability'])}\n{table}"
        lines = [
            [escaped(token), tag["answer"], format_number(tag["probability"]), largest(tag["moved_by"], position)]
            for position, (token, tag) in enumerate(zip(self.tokens, rows, strict=True))
        ]
        return aligned([["token", "tag", "probability", "moved most by"], *lines], "<<><")


def inspect_answers(
    model: Classifier | Tagger,
    inputs: tuple[Tensor, ...],
    tokens: list[str],
    answers: list[str],
    told: Callable[[Tensor], Tensor],
    loss: Callable[[Tensor], Tensor],
    report: Report,
) -> Inspection:
    """Watch a model answer about one text, find what the answers rest on, and write the report.

    Args:
        model: the model, in evaluation mode.
        inputs: what it reads, of a batch of 1.
        tokens: the T tokens.
        answers: the A answers: 1, or T.
        told: the logarithms of their probabilities, (B, A) float64, for steps (T, B, I).
        loss: of the answers, for steps (T, 1, I); what the gradients are of.
        report: what to write.

    Raises:
        OSError: when the report cannot be written.
    """
    with torch.no_grad():
        x = model.steps(*inputs)
        probabilities: list[float] = told(x)[0].exp().tolist()
    moved = erasure_attributions(x[:, 0], lambda x: log_odds(told(x))).T
    trace = watched(model, model.encoder, lambda: loss(x))
    report.write(trace, tokens=tokens, moved=list(zip(answers, moved.tolist(), strict=True)))
    return Inspection(tokens, answers, probabilities, moved, trace)


def log_odds(log_probability: Tensor) -> Tensor:
    """The log-odds log p/(1 − p).

    Robnik-Šikonja & Kononenko 2008, "Explaining classifications for individual instances".

    Args:
        log_probability: log p, float64; what is nearer to 0 than its precision is taken for that.
    """
    below = log_probability.clamp(max=-1e-15)
    return below - (-torch.expm1(below)).log()


def one_text(reader: TokenReader, text: str | Sequence[str], steps: int) -> tuple[tuple[Tensor, ...], list[str]]:
    """A text, or a row of words, as what a network reads, cut after so many tokens, and the tokens.

    Raises:
        ValueError: when there is no token in it.
    """
    row = reader.read(reader.split(text) if isinstance(text, str) else text, steps)
    if not len(row.numbers):
        raise ValueError(f"the text has no tokens (unit {reader.vocabulary.unit}); at least 1 is needed")
    tokens = row.written or [reader.vocabulary.name(int(number)) for number in row.numbers]
    return reader.batch([row])[0], tokens
