"""Labelled texts to what a classifier reads."""

from collections.abc import Sequence

from gatewise.data.labelled_texts import LabelledText
from gatewise.progress import say
from gatewise.tasks.classification.corpus import labelled_data
from gatewise.tasks.classification.label import LabelHead
from gatewise.tasks.classification.label_set import LabelSetHead
from gatewise.tasks.classification.number import NumberHead
from gatewise.tasks.classification.options import ClassificationOptions
from gatewise.tasks.classification.sequence_head import SequenceHead
from gatewise.tasks.examples import Examples, ExampleSource
from gatewise.tasks.head import Encoded
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
        return labelled_data(options)

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
