"""Sequences of numbers to what a network reads, and what is predicted of them."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, Self

from gatewise.data.sequence_store import NumericSequence
from gatewise.tasks.classification.label import LabelHead
from gatewise.tasks.classification.number import NumberHead
from gatewise.tasks.examples import ExampleSource
from gatewise.tasks.head import Encoded, Head
from gatewise.tasks.numeric.corpus import numeric_data
from gatewise.tasks.numeric.next_head import NextHead
from gatewise.tasks.numeric.options import NumericOptions
from gatewise.tasks.numeric.reader import FeatureReader
from gatewise.tasks.numeric.step_head import LabelledStepHead
from gatewise.tasks.sequence_pipeline import SequencePipeline

Examples = Sequence[NumericSequence]


class NumericHead(Protocol):
    """A head with predictions that are written as rows."""

    def predict(self, model: Any, reader: Any, rows: Any, /) -> list[Any]:
        """The predictions of a trained model for sequences."""
        ...

    def rows(self, found: Any, number: int, /, *, probabilities: bool, cells: bool) -> Iterator[dict[str, Any]]:
        """The output rows of a prediction.

        Args:
            found: the prediction.
            number: the number of the sequence, from 1.
            probabilities: whether the probability of every label is written.
            cells: whether rows are those of a table, where each step may have its own; otherwise there is one row.
        """
        ...


def _labels(examples: Examples, part: str) -> Sequence[str]:
    """The label of each sequence of a part of the data."""
    found: list[str] = []
    for number, example in enumerate(examples, 1):
        different = sorted(example.classes)
        if len(different) != 1:
            raise ValueError(
                f"{part.replace('_', ' ')}: sequence {number}: expected one label for the sequence, got "
                f"{', '.join(different) or 'none'}; name its column with --label-column, or give --predict steps"
            )
        found += different
    return found


def _examples(examples: Examples, part: str) -> Examples:
    return examples


_HEADS: dict[str, tuple[type[Head], Callable[[Examples, str], Sequence[Any]]]] = {
    "sequence": (LabelHead, _labels),
    "number": (NumberHead, _labels),
    "steps": (LabelledStepHead, _examples),
    "next": (NextHead, _examples),
}
"""For each prediction the head, and its targets."""


class NumericPipeline(SequencePipeline[NumericSequence, Examples]):
    """The features of steps, and what is predicted of a sequence."""

    options: NumericOptions
    reader: FeatureReader

    @classmethod
    def learn(cls, options: NumericOptions, examples: Examples) -> Self:
        """That of the training data."""
        head, targets = _HEADS[options.predict]
        reader = FeatureReader.learn(options, examples)
        return cls(options, reader, head.learn(options, targets(examples, "the data")))

    @classmethod
    def from_parts(cls, options: NumericOptions, parts: dict[str, Any]) -> Self:
        return cls(
            options, FeatureReader.from_parts(options, parts), _HEADS[options.predict][0].from_parts(options, parts)
        )

    def data(self) -> ExampleSource[NumericSequence]:
        return numeric_data(self.options)

    def check(self, part: str, examples: Examples) -> None:
        self.reader.check(examples, part)
        self.head.check(part, self._targets(examples, part))

    def encode(self, examples: Examples) -> Encoded[Examples]:
        targets = self._targets(examples, "the data")
        return Encoded(self.reader, examples, targets, self.head.values(targets))

    def counts(self, data: Encoded[Examples]) -> dict[str, int]:
        return {"sequences": len(data.rows)}

    def _targets(self, examples: Examples, part: str) -> Sequence[Any]:
        return _HEADS[self.options.predict][1](examples, part)
