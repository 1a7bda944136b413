"""Words with features beside them: columns of the data, and what their spelling has."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gatewise.data.batches import padded
from gatewise.data.mapped import Mapped
from gatewise.data.row_store import Field
from gatewise.data.text import check_characters
from gatewise.data.tokens import TokenVocabulary
from gatewise.data.word_features import word_feature
from gatewise.models.token_embedding import FeaturedEmbedding, TokenEmbedding
from gatewise.tasks.tagging.options import TaggingOptions
from gatewise.tasks.token_reader import CUT, FEATURES, NUMBERS, TokenReader, Tokens, Unit

Word = str | tuple[str, ...]
"""A word, or a word with the cells of its feature columns."""


def word_of(word: Word) -> str:
    """The word alone.

    >>> word_of("rain"), word_of(("rain", "NOUN"))
    ('rain', 'rain')
    """
    return word if isinstance(word, str) else word[0]


def words_of(row: Sequence[Word]) -> list[str]:
    """The words of a row alone."""
    return [word_of(word) for word in row]


class FeaturedTokenReader(TokenReader):
    """Reads words with F features.

    Args:
        plain: reads the words.
        columns: the names of the columns that come with each word.
        of_words: the names of the features of its spelling.
        values: (F), the values of each, columns first.
    """

    def __init__(
        self, plain: TokenReader, columns: Sequence[str], of_words: Sequence[str], values: Sequence[TokenVocabulary]
    ) -> None:
        super().__init__(plain.vocabulary, plain.alphabet)
        self._columns = tuple(columns)
        self._of_words = tuple(of_words)
        self._values = list(values)

    @classmethod
    def learn_features(cls, options: TaggingOptions, rows: Sequence[Sequence[Word]]) -> "FeaturedTokenReader":
        """Learn from rows of words, which are read once for each feature too."""
        plain = TokenReader.learn_words(options, Mapped(rows, words_of))
        reader = cls(plain, options.feature_columns, options.word_features, [])

        def values(index: int) -> Sequence[list[str]]:
            return Mapped(rows, lambda row: [cells[index] for cells in reader._features(row)])

        reader._values = [
            TokenVocabulary.learn(values(index), lower=False, digits=False) for index in range(len(reader._names))
        ]
        return reader

    @property
    def _names(self) -> tuple[str, ...]:
        return (*self._columns, *self._of_words)

    def split(self, text: str) -> list[str]:
        """The words of a text, where none has columns.

        Raises:
            ValueError: where they have.
        """
        if self._columns:
            raise ValueError(
                f"this model reads words with feature columns ({', '.join(self._columns)}), not text; give it files "
                "with these columns, or rows of words, each a sequence of the word and its features"
            )
        return super().split(text)

    def check_row(self, row: Sequence[Any]) -> list[Any]:
        """The words of a row, each with the features that it needs.

        Raises:
            ValueError: for a word with other features.
            TypeError: for what is not a word.
        """
        if not self._columns:
            return super().check_row(row)
        found: list[tuple[str, ...]] = []
        for word in row:
            cells: tuple[Any, ...] = (word,) if isinstance(word, str) else tuple(word)
            if len(cells) != 1 + len(self._columns):
                raise ValueError(
                    f"expected each word with its features ({', '.join(('word', *self._columns))}), got {word!r:.80}"
                )
            found.append(tuple(check_characters(cell, "a word or feature") for cell in cells))
        return found

    def words(self, row: Sequence[Word]) -> list[str]:
        """The words of a row alone."""
        return words_of(row)

    def read(self, row: Sequence[Word], longest: int | None = None) -> Tokens:
        """The words of a file with their features, cut after `longest`."""
        plain = super().read(words_of(row), longest)
        cells = self._features(row[:longest])
        columns = [
            vocabulary.encode_tokens([of_word[index] for of_word in cells])
            for index, vocabulary in enumerate(self._values)
        ]
        return plain._replace(features=torch.stack(columns, 1))

    @property
    def fields(self) -> dict[str, Field]:
        """The fields of stored tokens."""
        return {**super().fields, FEATURES: Field("uint32", (len(self._values),))}

    def encode(self, row: Sequence[Word], longest: int | None = None) -> dict[str, Any]:
        """What `read` gives, as the fields of a stored row."""
        found = self.read(row, longest)
        assert found.features is not None
        return {NUMBERS: found.numbers.numpy(), CUT: found.cut, FEATURES: found.features.numpy()}

    def batch(self, rows: Sequence[Tokens]) -> tuple[tuple[Tensor, ...], Tensor]:
        """The inputs of a batch, with the features (T, B, F) in the second place, and their lengths (B,)."""
        (numbers, *spelled), lengths = super().batch(rows)
        return (numbers, padded([row.features for row in rows if row.features is not None]), *spelled), lengths

    @property
    def parts(self) -> dict[str, Any]:
        """What is kept in the run folder."""
        named = dict(zip(map(_part, self._names), self._values, strict=True))
        return {**super().parts, **named}

    @property
    def summary(self) -> str:
        """Sizes, for people."""
        sizes = (f"{name} {one.size:,}" for name, one in zip(self._names, self._values, strict=True))
        return f"{super().summary}; values of features: {', '.join(sizes)}"

    def first_layer(self, options: TaggingOptions) -> FeaturedEmbedding:
        """The embeddings of words and features, with their initial weights."""
        features = [
            TokenEmbedding(one.size, options.feature_size, counts=one.counts, unknown_weight=options.unknown_weight)
            for one in self._values
        ]
        return FeaturedEmbedding(self.embedding(options), features)

    def _features(self, row: Sequence[Word]) -> list[list[str]]:
        """Of each word the values of all features."""
        return [
            [
                *([] if isinstance(word, str) else word[1:]),
                *(word_feature(name, word_of(word)) for name in self._of_words),
            ]
            for word in row
        ]


def learn_reader(options: TaggingOptions, rows: Sequence[Sequence[Word]]) -> TokenReader:
    """The reader of a run, learned from rows of words, which are read several times."""
    if options.feature_columns or options.word_features:
        return FeaturedTokenReader.learn_features(options, rows)
    unit: Unit = options.unit
    if unit == "char":
        return TokenReader.learn(options, unit, Mapped(rows, lambda row: "".join(words_of(row))))
    return TokenReader.learn_words(options, Mapped(rows, words_of))


def reader_of_parts(options: TaggingOptions, parts: dict[str, Any]) -> TokenReader:
    """The reader of a run folder."""
    plain = TokenReader.from_parts(parts)
    names = (*options.feature_columns, *options.word_features)
    if not names:
        return plain
    return FeaturedTokenReader(
        plain, options.feature_columns, options.word_features, [parts[_part(name)] for name in names]
    )


def _part(name: str) -> str:
    return f"feature {name}"
