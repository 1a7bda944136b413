"""Sequences of numbers to what a network reads, and what is predicted of them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from gatewise.data.mapped import Mapped
from gatewise.data.sequence_store import NumericSequence, hash_of
from gatewise.tasks.examples import Examples, ExampleSource
from gatewise.tasks.feature_reader import FeatureReader
from gatewise.tasks.heads.head import Encoded, Head
from gatewise.tasks.heads.label import LabelHead
from gatewise.tasks.heads.next_step import NextHead
from gatewise.tasks.heads.number import NumberHead
from gatewise.tasks.heads.step_labels import StepHead
from gatewise.tasks.numeric.corpus import read_sequences
from gatewise.tasks.numeric.options import NumericOptions
from gatewise.tasks.parts import check_all
from gatewise.tasks.sequence_pipeline import SequencePipeline

Sequences = Sequence[NumericSequence]


def _with_features(options: NumericOptions, sequences: Sequences) -> NumericOptions:
    """The options with the names of features, by which other files are then read whatever the order of columns."""
    return options if options.feature_columns else replace(options, feature_columns=sequences[0].feature_names)


def _label(example: NumericSequence) -> str:
    different = sorted(example.classes)
    if len(different) != 1:
        raise ValueError(
            f"expected one label for the sequence, got {', '.join(different) or 'none'}; name its column with "
            "--label-column, or give --predict steps"
        )
    return different[0]


def _step_labels(example: NumericSequence) -> list[str]:
    if example.label_count != example.length:
        raise ValueError(f"expected a label for each of {example.length} steps, got {example.label_count}")
    return example.labels


_HEADS: dict[str, tuple[type[Head], Callable[[NumericSequence], Any]]] = {
    "sequence": (LabelHead, _label),
    "number": (NumberHead, _label),
    "steps": (StepHead, _step_labels),
    "next": (NextHead, lambda example: example.steps),
}
"""For each prediction the head, and the target of a sequence."""


class NumericPipeline(SequencePipeline[NumericSequence, Sequences]):
    """The features of steps, and what is predicted of a sequence."""

    options: NumericOptions
    reader: FeatureReader

    @classmethod
    def learn(cls, options: NumericOptions, examples: Sequences) -> Self:
        options = _with_features(options, examples)
        reader = FeatureReader.learn(options, examples)
        pipeline = cls(options, reader, cls.head_type(options).learn(options, cls.targets(options, examples)))
        pipeline.check("the data", examples)
        return pipeline

    @classmethod
    def make_reader(cls, options: NumericOptions, parts: dict[str, Any]) -> FeatureReader:
        return FeatureReader(options, parts["scaling"], parts["categories"])

    @classmethod
    def head_type(cls, options: NumericOptions) -> type[Head]:
        return _HEADS[options.predict][0]

    @classmethod
    def targets(cls, options: NumericOptions, examples: Sequences, part: str = "the data") -> Sequence[Any]:
        _, target = _HEADS[options.predict]
        check_all(part, examples, target)
        return Mapped(examples, target)

    @classmethod
    def data(cls, options: NumericOptions) -> ExampleSource[NumericSequence]:
        """In the columns that the options name, or else in those that are read first."""
        known: dict[frozenset[str], frozenset[str]] = {}

        def classes_of(example: NumericSequence) -> frozenset[str]:
            labels = example.classes if options.predict in ("sequence", "steps") else set[str]()
            # So that a feature with missing values has some in the training data too.
            found = frozenset([f"label {one}" for one in labels] + [f"missing {one}" for one in example.missing])
            return known.setdefault(found, found)

        def read(paths: Sequence[Path]) -> list[NumericSequence]:
            nonlocal options
            sequences = read_sequences(options, paths)
            options = _with_features(options, sequences)
            return sequences

        return ExampleSource(read, classes_of=classes_of, hash_of=hash_of)

    def check(self, part: str, examples: Sequences) -> None:
        self.reader.check(examples, part)
        super().check(part, examples)

    def encode(self, examples: Sequences) -> Encoded[Sequences]:
        targets = self.targets(self.options, examples)
        return Encoded(self.reader, examples, targets, self.head.values(targets))

    def counts(self, data: Encoded[Sequences]) -> dict[str, int]:
        return {"sequences": len(data.rows)}

    def facts(self, corpus: Examples[NumericSequence], training: Encoded[Sequences]) -> list[str]:
        steps = corpus.counts(lambda part: sum(example.length for example in part))
        return [f"steps: {steps}", *self.reader.summary(self.options.feature_columns)]
