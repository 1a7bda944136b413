"""Tokens to what a network reads: their numbers and, where asked for, their spellings."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from gatewise.data.batches import padded
from gatewise.data.characters import CharacterVocabulary
from gatewise.data.mapped import Mapped
from gatewise.data.row_store import Field
from gatewise.data.spelling import spell
from gatewise.data.subwords import BytePairVocabulary
from gatewise.data.text import check_characters
from gatewise.data.tokens import TokenVocabulary, split_tokens
from gatewise.models.encoder import Encoder
from gatewise.models.spelling import CharacterConvolution, CharacterRecurrent
from gatewise.models.token_embedding import FeaturedEmbedding, TokenEmbedding
from gatewise.progress import Progress
from gatewise.tasks.encoding import make_encoder
from gatewise.tasks.sequence_options import TokenOptions

Unit = Literal["word", "char", "bpe"]

_CHARACTERS = 1 << 20

NUMBERS, CUT, FEATURES = "numbers", "cut", "features"
"""Fields of stored tokens."""


class Tokens(NamedTuple):
    """One sequence of tokens.

    Attributes:
        numbers: (T,) int64.
        written: as they are written; empty for byte pairs.
        cut: whether there were more.
        features: (T, F) int64, those beside each token, if there are any.
    """

    numbers: Tensor
    written: list[str]
    cut: bool = False
    features: Tensor | None = None

    @property
    def length(self) -> int:
        """T."""
        return len(self.numbers)


def notice_of_cut(cut: int, count: int, longest: int) -> str | None:
    """A notice of the texts that were cut after `longest` tokens; None where none was."""
    if not cut:
        return None
    return f"{cut:,} of {count:,} texts have more than {longest:,} tokens; the rest of each is not read (--longest)"


class TokenReader:
    """Reads texts, or sequences of words, for one network.

    Attributes:
        vocabulary: the tokens.
        alphabet: the characters of spellings; None where spellings are not read.
    """

    def __init__(
        self,
        vocabulary: TokenVocabulary | CharacterVocabulary | BytePairVocabulary,
        alphabet: CharacterVocabulary | None,
    ) -> None:
        self.vocabulary = vocabulary
        self.alphabet = alphabet

    @classmethod
    def learn(cls, options: TokenOptions, unit: Unit, texts: Sequence[str]) -> "TokenReader":
        """Learn from texts, which are read twice where spellings are."""
        if unit == "word":
            return cls.learn_words(options, Mapped(texts, split_tokens))
        with Progress("building the vocabulary"):
            if unit == "char":
                return cls(CharacterVocabulary.learn(texts), None)
            return cls(BytePairVocabulary.learn(joined_lines(texts), options.vocabulary_size or 2048), None)

    @classmethod
    def learn_words(cls, options: TokenOptions, rows: Sequence[Sequence[str]]) -> "TokenReader":
        """Learn from rows of words, which are read twice where spellings are."""
        vocabulary = TokenVocabulary.learn(
            rows,
            options.vocabulary_size,
            min_count=options.min_count,
            lower=options.lower,
            digits=options.digits,
        )
        if options.spelling == "none":
            return cls(vocabulary, None)
        return cls(vocabulary, CharacterVocabulary.learn("".join(row) for row in rows))

    def split(self, text: str) -> list[str]:
        """The tokens of a text as they are written; for byte pairs, the text itself."""
        check_characters(text)
        if isinstance(self.vocabulary, TokenVocabulary):
            return split_tokens(text)
        return list(text) if isinstance(self.vocabulary, CharacterVocabulary) else [text]

    def check_row(self, row: Sequence[Any]) -> list[Any]:
        """The words of a row.

        Raises:
            TypeError: for what is not a text.
            ValueError: for one that is not Unicode.
        """
        return [check_characters(word, "a word") for word in row]

    def words(self, row: Sequence[Any]) -> list[str]:
        """The tokens of a row as they are written."""
        return list(row)

    def read(self, row: Sequence[str], longest: int | None = None) -> Tokens:
        """A row that `split` made, or the words of a file, cut after `longest` tokens."""
        if isinstance(self.vocabulary, TokenVocabulary):
            kept = list(row[:longest])
            return Tokens(self.vocabulary.encode_tokens(kept), kept, len(kept) < len(row))
        numbers = self.vocabulary.encode("".join(row))
        written = list(row[:longest]) if isinstance(self.vocabulary, CharacterVocabulary) else []
        return Tokens(numbers[:longest], written, longest is not None and len(numbers) > longest)

    @property
    def fields(self) -> dict[str, Field]:
        """The fields of stored tokens."""
        return {NUMBERS: Field(np.min_scalar_type(self.vocabulary.size - 1)), CUT: Field("bool", ragged=False)}

    def encode(self, row: Sequence[Any], longest: int | None = None) -> dict[str, Any]:
        """What `read` gives, as the fields of a stored row."""
        found = self.read(row, longest)
        return {NUMBERS: found.numbers.numpy(), CUT: found.cut}

    def batch(self, rows: Sequence[Tokens]) -> tuple[tuple[Tensor, ...], Tensor]:
        """The inputs of a batch and their lengths (B,)."""
        lengths = torch.tensor([len(row.numbers) for row in rows], dtype=torch.int64)
        numbers = padded([row.numbers for row in rows])
        if self.alphabet is None:
            return (numbers,), lengths
        spelled = spell([row.written for row in rows], self.alphabet)
        return (numbers, *spelled), lengths

    def encoder(self, options: Any, steps: Any) -> Encoder:
        """The encoder over tokens, with its initial weights."""
        return make_encoder(options, steps.width)

    @property
    def parts(self) -> dict[str, Any]:
        """What is kept in the run folder."""
        return {"tokens": self.vocabulary, "alphabet": self.alphabet}

    @classmethod
    def from_parts(cls, parts: dict[str, Any]) -> "TokenReader":
        """The reader of a run folder."""
        return cls(parts["tokens"], parts.get("alphabet"))

    @property
    def summary(self) -> str:
        """Sizes, for people."""
        spelled = "" if self.alphabet is None else f", spelled with {self.alphabet.size:,} characters"
        return f"vocabulary: {self.vocabulary.size:,} tokens (unit {self.vocabulary.unit}){spelled}"

    def first_layer(self, options: Any) -> TokenEmbedding | FeaturedEmbedding:
        """The embedding of tokens, with its initial weights."""
        return self.embedding(options)

    def embedding(self, options: TokenOptions) -> TokenEmbedding:
        """The embedding of tokens alone, with its initial weights."""
        assert options.embedding_size is not None
        character_encoder = None
        if self.alphabet is not None:
            kind = CharacterConvolution if options.spelling == "cnn" else CharacterRecurrent
            character_encoder = kind(self.alphabet.size, options.character_embedding, options.spelling_size)
        return TokenEmbedding(
            self.vocabulary.size,
            options.embedding_size,
            counts=self.vocabulary.counts if isinstance(self.vocabulary, TokenVocabulary) else None,
            unknown_weight=options.unknown_weight,
            spelling=character_encoder,
        )


def joined_lines(texts: Iterable[str]) -> Iterator[str]:
    r"""Texts with line ends between them, part by part.

    >>> "".join(joined_lines(["one", "two"]))
    'one\ntwo'
    """
    pending, size = list[str](), 0
    for text in texts:
        if size > _CHARACTERS:
            yield "\n".join([*pending, ""])
            pending, size = [], 0
        pending.append(text)
        size += len(text)
    yield "\n".join(pending)
