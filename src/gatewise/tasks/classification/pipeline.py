"""Labelled texts to what a classifier reads."""

from collections.abc import Sequence
from operator import itemgetter
from typing import Any, Self

from gatewise.data.labelled_texts import LabelledText
from gatewise.data.mapped import Mapped
from gatewise.progress import say
from gatewise.tasks.classification.corpus import labelled_data
from gatewise.tasks.classification.label import LabelHead
from gatewise.tasks.classification.label_set import LabelSetHead
from gatewise.tasks.classification.number import NumberHead
from gatewise.tasks.classification.options import ClassificationOptions
from gatewise.tasks.classification.sequence_head import SequenceHead
from gatewise.tasks.examples import ExampleSource
from gatewise.tasks.head import Encoded
from gatewise.tasks.sequence_pipeline import SequencePipeline
from gatewise.tasks.token_reader import TokenReader, notice_of_cut
from gatewise.tasks.token_rows import TokenRows, encode_examples, sample_of

_TARGET = "target"
_HEADS: dict[str, type[SequenceHead]] = {"label": LabelHead, "labels": LabelSetHead, "number": NumberHead}


class ClassificationPipeline(SequencePipeline[LabelledText, TokenRows]):
    """The tokens of texts, and what is predicted for a text."""

    options: ClassificationOptions
    reader: TokenReader
    head: SequenceHead

    @classmethod
    def learn(cls, options: ClassificationOptions, examples: Sequence[LabelledText]) -> tuple[Self, str]:
        """That of the training data, and a notice of the sample that its tokens are learned from, if it is one."""
        head = _HEADS[options.target].learn(options, Mapped(examples, itemgetter(1)))
        sample, fact = sample_of(examples, options.unit)
        return cls(options, TokenReader.learn(options, options.unit, Mapped(sample, itemgetter(0))), head), fact

    @classmethod
    def from_parts(cls, options: ClassificationOptions, parts: dict[str, Any]) -> Self:
        return cls(options, TokenReader.from_parts(parts), _HEADS[options.target].from_parts(options, parts))

    def data(self) -> ExampleSource[LabelledText]:
        return labelled_data(self.options)

    def check(self, part: str, examples: Sequence[LabelledText]) -> None:
        self.head.check(part, Mapped(examples, itemgetter(1)))

    def encode(self, examples: Sequence[LabelledText]) -> Encoded[TokenRows]:
        reader, longest = self.reader, self.options.longest
        targets = Mapped(examples, itemgetter(1))
        form, encode_target = self.head.encoder(targets)

        def encode(example: LabelledText) -> dict[str, Any]:
            text, target = example
            return {**reader.encode(reader.split(text), longest), _TARGET: encode_target(target)}

        store = encode_examples(
            examples,
            {**reader.fields, _TARGET: form},
            encode,
            self.parts,
            {"longest": longest, "class": type(self.head).__name__},
            "texts",
        )
        written = None if reader.alphabet is None else lambda index: reader.split(examples[index][0])[:longest]
        return Encoded(reader, TokenRows(store, written), targets, store.column(_TARGET))

    def counts(self, data: Encoded[TokenRows]) -> dict[str, int]:
        notice = self.notice_of_cut(data)
        if notice is not None:
            say(f"warning: {notice}")
        return {"examples": len(data.rows), "unknown_tokens": data.rows.count(self.reader.vocabulary.unknown)}

    def notice_of_cut(self, data: Encoded[TokenRows]) -> str | None:
        """A notice of truncated texts; None where there are none."""
        return notice_of_cut(data.rows.cut, len(data.rows), self.options.longest)
