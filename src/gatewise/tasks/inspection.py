"""A trained model watched while it reads, and the report on that."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from gatewise.diagnostics import Trace, watch
from gatewise.diagnostics.report_contents import Heading
from gatewise.tasks.run_folder import RunFolder
from gatewise.tasks.token_reader import TokenReader
from gatewise.tasks.unknown_characters import UnknownCharacters
from gatewise.writing import as_path


@dataclass(frozen=True)
class Report:
    """A report to write.

    Attributes:
        path: of the page.
        heading: what it says of the run.
    """

    path: Path
    heading: Heading

    def write(self, trace: Trace, **contents: Any) -> None:
        """Write what was recorded, and what else `Trace.report` takes.

        Raises:
            OSError: when it cannot be written.
        """
        trace.report(self.path, heading=self.heading, **contents)


def requested_report(
    folder: RunFolder, out: str | Path | None, steps: int, least: int = 1, what: str = "tokens"
) -> Report:
    """Check the options of an inspection, and return the report to write.

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
    path = folder.report if out is None else as_path("out", out)
    if not path.parent.is_dir():
        raise ValueError(f"{path}: its folder does not exist; make it, or choose another --out")
    return Report(path, heading_of(folder))


def heading_of(folder: RunFolder) -> Heading:
    """The run's name, what it learned from, and when it began."""
    description = folder.read_description()
    facts = {"task": description["task"], "data": description.get("source")}
    if "created" in description:
        facts["trained"] = f"{str(description['created'])[:16].replace('T', ' ')} UTC"
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


def one_text(reader: TokenReader, text: str | Sequence[str], steps: int) -> tuple[tuple[Tensor, ...], list[str]]:
    """A text, or a row of words, as the inputs of a network, truncated to `steps` tokens, and the tokens.

    Raises:
        ValueError: when there is no token in it.
    """
    row = reader.read(reader.split(text) if isinstance(text, str) else text, steps)
    if not len(row.numbers):
        raise ValueError(f"the text has no tokens (unit {reader.vocabulary.unit}); at least 1 is needed")
    unknown = UnknownCharacters(reader.vocabulary)
    unknown.add(row.numbers, row.written)
    unknown.report()
    tokens = row.written or [reader.vocabulary.name(int(number)) for number in row.numbers]
    return reader.batch([row])[0], tokens
