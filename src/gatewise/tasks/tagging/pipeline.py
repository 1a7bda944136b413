"""Tagged sentences to what a tagger reads."""

import itertools
from collections.abc import Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any, Self

from gatewise.data.columns import TaggedWords
from gatewise.data.mapped import Mapped
from gatewise.data.row_tensors import RowTensors
from gatewise.tasks.examples import Examples, ExampleSource
from gatewise.tasks.head import Encoded
from gatewise.tasks.sequence_pipeline import SequencePipeline
from gatewise.tasks.tagging.corpus import check_entity_tags, columns_of, read_corpus, tagged_data
from gatewise.tasks.tagging.options import TaggingOptions
from gatewise.tasks.tagging.tag_head import TagHead
from gatewise.tasks.tagging.word_features import learn_reader, reader_of_parts, words_of
from gatewise.tasks.token_reader import NUMBERS, TokenReader
from gatewise.tasks.token_rows import TokenRows, encode_examples, sample_of

_TAGS = "tags"


class TaggingPipeline(SequencePipeline[TaggedWords, TokenRows]):
    """The tokens of sentences, and their tags."""

    options: TaggingOptions
    reader: TokenReader
    head: TagHead

    @classmethod
    def learn(cls, options: TaggingOptions, examples: Sequence[TaggedWords]) -> tuple[Self, str]:
        """That of the training data, and a notice of the sample that its tokens are learned from, if it is one."""
        sample, fact = sample_of(examples, options.unit)
        reader = learn_reader(options, Mapped(sample, itemgetter(0)))
        return cls(options, reader, TagHead.learn(options, Mapped(examples, itemgetter(1)))), fact

    @classmethod
    def from_parts(cls, options: TaggingOptions, parts: dict[str, Any]) -> Self:
        return cls(options, reader_of_parts(options, parts), TagHead.from_parts(options, parts))

    def data(self) -> ExampleSource[TaggedWords]:
        return tagged_data(self.options)

    def read_corpus(self, known: Mapping[str, str] | None) -> Examples[TaggedWords]:
        return read_corpus(self.options, known)

    def read_files(self, paths: Sequence[Path]) -> Sequence[TaggedWords]:
        examples = super().read_files(paths)
        if self.head.tags.learned is not None:
            check_entity_tags(columns_of(self.options), paths, examples)
        return examples

    def check(self, part: str, examples: Sequence[TaggedWords]) -> None:
        self.head.check(part, Mapped(examples, itemgetter(1)))

    def encode(self, examples: Sequence[TaggedWords]) -> Encoded[TokenRows]:
        """Sentences as the network reads them.

        Raises:
            ValueError: where tokens are characters and a row is not one.
        """
        reader, targets = self.reader, Mapped(examples, itemgetter(1))
        form, encode_tags = self.head.encoder(targets)
        count = itertools.count(1)

        def encode(example: TaggedWords) -> dict[str, Any]:
            words, tags = example
            number = next(count)
            row = {**reader.encode(words), _TAGS: encode_tags(tags).numpy()}
            if len(row[NUMBERS]) != len(words):
                raise ValueError(f"sentence {number}: unit char expects a character per line, got words")
            return row

        known = {**reader.parts, "tags": self.head.tags}
        store = encode_examples(examples, {**reader.fields, _TAGS: form}, encode, known, {}, "sentences")
        written = None if reader.alphabet is None else lambda index: words_of(examples[index][0])
        return Encoded(reader, TokenRows(store, written), targets, RowTensors(store, _TAGS))

    def counts(self, data: Encoded[TokenRows]) -> dict[str, int]:
        return {
            "sentences": len(data.rows),
            "tokens": int(data.rows.lengths.sum()),
            "unknown_tokens": data.rows.count(self.reader.vocabulary.unknown),
        }
