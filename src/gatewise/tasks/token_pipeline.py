"""Texts or sentences with their targets to what a network reads: classification and tagging."""

import itertools
from abc import abstractmethod
from collections.abc import Sequence
from operator import itemgetter
from typing import Any, ClassVar, Self

from torch import Tensor

from gatewise.data.mapped import Mapped
from gatewise.data.row_tensors import RowTensors
from gatewise.tasks.heads.head import Encoded
from gatewise.tasks.pretrained_embeddings import set_vectors, with_vectors
from gatewise.tasks.sequence_pipeline import Example, SequencePipeline
from gatewise.tasks.token_reader import TokenReader
from gatewise.tasks.token_rows import TokenRows, encode_examples, sample_of

_TARGET = "target"


class TokenPipeline(SequencePipeline[Example, TokenRows]):
    """The tokens of texts, and what is predicted for them; an example is a pair of both.

    Attributes:
        examples_unit: what examples are called, in the plural.
    """

    examples_unit: ClassVar[str]
    reader: TokenReader
    _vectors: tuple[Tensor, Tensor] | None = None
    _sampled: str = ""

    @classmethod
    def learn(cls, options: Any, examples: Sequence[Example]) -> Self:
        head = cls.head_type(options).learn(options, cls.targets(options, examples))
        sample, sampled = sample_of(examples, options.unit)
        reader = cls.learn_reader(options, Mapped(sample, itemgetter(0)))
        options, vectors = with_vectors(options, reader.vocabulary)
        pipeline = cls(options, reader, head)
        pipeline._vectors, pipeline._sampled = vectors, sampled
        return pipeline

    @classmethod
    @abstractmethod
    def learn_reader(cls, options: Any, inputs: Sequence[Any]) -> TokenReader:
        """The reader of the inputs of the training data, or of a sample of them."""

    @classmethod
    def make_reader(cls, options: Any, parts: dict[str, Any]) -> TokenReader:
        return TokenReader.from_parts(parts)

    @property
    def longest(self) -> int | None:
        """The number of tokens of a text that are read; None for all."""
        return None

    def set_vectors(self, model: Any) -> None:
        set_vectors(model, self._vectors, freeze=self.options.freeze)

    def row(self, read: Any, number: int) -> Sequence[Any]:
        """The tokens of what an example has to read.

        Args:
            read: a text, or the words of a sentence.
            number: of the example, from 1.
        """
        return read

    def encode(self, examples: Sequence[Example]) -> Encoded[TokenRows]:
        """Examples as the network reads them.

        Raises:
            ValueError: for tokens that the reader does not read.
        """
        reader, targets = self.reader, self.targets(self.options, examples)
        form, encode_target = self.head.encoder(targets)
        numbers = itertools.count(1)

        def encode(example: Any) -> dict[str, Any]:
            read, target = example
            return {**reader.encode(self.row(read, next(numbers)), self.longest), _TARGET: encode_target(target)}

        def written(index: int) -> list[str]:
            example: Any = examples[index]
            return reader.words(self.row(example[0], index + 1))[: self.longest]

        store = encode_examples(
            examples,
            {**reader.fields, _TARGET: form},
            encode,
            {**reader.parts, **self.head.target_parts},
            {"longest": self.longest, "class": type(self.head).__name__},
            self.examples_unit,
        )
        values = RowTensors(store, _TARGET) if form.ragged else store.column(_TARGET)
        return Encoded(reader, TokenRows(store, None if reader.alphabet is None else written), targets, values)

    @property
    def summary(self) -> str:
        """Sizes of the vocabulary, and what it was learned from if not from all examples."""
        return f"{self.reader.summary}{self._sampled}"
