"""Labelled texts to what a classifier reads."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from gatewise.data.labelled_texts import LabelledText, labelled_texts, why_no_label
from gatewise.data.standard_library import docstrings
from gatewise.progress import say
from gatewise.tasks.classification.options import ClassificationOptions
from gatewise.tasks.examples import Builtin, Examples, ExampleSource
from gatewise.tasks.heads.head import Encoded
from gatewise.tasks.heads.label import LabelHead
from gatewise.tasks.heads.label_set import LabelSetHead, split_labels
from gatewise.tasks.heads.number import NumberHead, why_no_number
from gatewise.tasks.heads.sequence_head import SequenceHead
from gatewise.tasks.token_pipeline import TokenPipeline
from gatewise.tasks.token_reader import TokenReader, notice_of_cut
from gatewise.tasks.token_rows import TokenRows

_HEADS: dict[str, type[SequenceHead]] = {"label": LabelHead, "labels": LabelSetHead, "number": NumberHead}


class ClassificationPipeline(TokenPipeline[LabelledText]):
    """The tokens of texts, and what is predicted for a text."""

    examples_unit = "texts"
    options: ClassificationOptions
    head: SequenceHead

    @classmethod
    def head_type(cls, options: ClassificationOptions) -> type[SequenceHead]:
        return _HEADS[options.target]

    @classmethod
    def learn_reader(cls, options: ClassificationOptions, inputs: Sequence[str]) -> TokenReader:
        return TokenReader.learn(options, options.unit, inputs)

    @classmethod
    def data(cls, options: ClassificationOptions) -> ExampleSource[LabelledText]:
        """From the columns that the options name, or docstrings with their packages."""
        wrong = {"label": why_no_label, "labels": lambda _: None, "number": why_no_number}[options.target]

        def read(paths: Sequence[Path]) -> Iterator[LabelledText]:
            return labelled_texts(paths, options.text_column, options.label_column, options.table_format, wrong)

        def classes_of(example: LabelledText) -> Sequence[str]:
            if options.target == "number":
                return ()
            return split_labels(example[1], options.label_separator) if options.target == "labels" else example[1:]

        name = f"{options.target} {options.label_separator}"
        builtin = Builtin("docstrings of the standard library of Python {python}, by package", docstrings)
        return ExampleSource(read, _restored, classes_of, name, builtin={"docstrings": builtin})

    @property
    def unit(self) -> str:
        return "words" if self.options.unit == "word" else "tokens"

    @property
    def longest(self) -> int:
        return self.options.longest

    def row(self, read: str, number: int) -> list[str]:
        return self.reader.split(read)

    def counts(self, data: Encoded[TokenRows]) -> dict[str, int]:
        for notice in self._notices(data):
            say(f"warning: {notice}")
        return {"examples": len(data.rows), "unknown_tokens": data.rows.count(self.reader.vocabulary.unknown)}

    def facts(self, corpus: Examples[LabelledText], training: Encoded[TokenRows]) -> list[str]:
        return [self.head.summary, self.summary, *self._notices(training)]

    def _notices(self, data: Encoded[TokenRows]) -> list[str]:
        """A notice of truncated texts, if there are any."""
        notice = notice_of_cut(data.rows.cut, len(data.rows), self.longest)
        return [] if notice is None else [notice]


def _restored(value: list[str]) -> LabelledText:
    text, label = value
    return text, sys.intern(label)
