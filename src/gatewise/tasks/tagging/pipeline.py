"""Tagged sentences to what a tagger reads."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gatewise.data.columns import TaggedWords
from gatewise.tasks.examples import Examples, ExampleSource
from gatewise.tasks.heads.head import Encoded
from gatewise.tasks.tagging.corpus import check_entity_tags, columns_of, read_corpus, tagged_data
from gatewise.tasks.tagging.options import TaggingOptions
from gatewise.tasks.tagging.tag_head import TagHead
from gatewise.tasks.tagging.word_features import Word, learn_reader, reader_of_parts, words_of
from gatewise.tasks.token_pipeline import TokenPipeline
from gatewise.tasks.token_reader import TokenReader
from gatewise.tasks.token_rows import TokenRows


class TaggingPipeline(TokenPipeline[TaggedWords]):
    """The tokens of sentences, and their tags."""

    examples_unit = "sentences"
    options: TaggingOptions
    head: TagHead

    @classmethod
    def head_type(cls, options: TaggingOptions) -> type[TagHead]:
        return TagHead

    @classmethod
    def learn_reader(cls, options: TaggingOptions, inputs: Sequence[Sequence[Word]]) -> TokenReader:
        return learn_reader(options, inputs)

    @classmethod
    def make_reader(cls, options: TaggingOptions, parts: dict[str, Any]) -> TokenReader:
        return reader_of_parts(options, parts)

    @classmethod
    def data(cls, options: TaggingOptions) -> ExampleSource[TaggedWords]:
        return tagged_data(options)

    @classmethod
    def read_corpus(cls, options: TaggingOptions, known: Mapping[str, str] | None = None) -> Examples[TaggedWords]:
        return read_corpus(options, known)

    def read_files(self, paths: Sequence[Path]) -> Sequence[TaggedWords]:
        examples = super().read_files(paths)
        if self.head.tags.learned is not None:
            check_entity_tags(columns_of(self.options), paths, examples)
        return examples

    @property
    def unit(self) -> str:
        return "words" if self.options.unit == "word" else "characters"

    def row(self, read: Sequence[Word], number: int) -> Sequence[Word]:
        if self.options.unit == "char" and any(len(word) != 1 for word in words_of(read)):
            raise ValueError(f"sentence {number}: unit char expects a character per line, got words")
        return read

    def counts(self, data: Encoded[TokenRows]) -> dict[str, int]:
        return {
            "sentences": len(data.rows),
            "tokens": int(data.rows.lengths.sum()),
            "unknown_tokens": data.rows.count(self.reader.vocabulary.unknown),
        }

    def facts(self, corpus: Examples[TaggedWords], training: Encoded[TokenRows]) -> list[str]:
        def tokens(part: Sequence[TaggedWords]) -> int:
            read = part is corpus.training
            return int(training.rows.lengths.sum()) if read else sum(len(words) for words, _ in part)

        return [f"tokens: {corpus.counts(tokens)}", self.head.summary, self.summary]
