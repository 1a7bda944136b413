"""One side of a pair: texts to the numbers of tokens with an end, and back."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from gatewise.data.pairs import Pair
from gatewise.data.vocabularies import build_vocabulary
from gatewise.data.vocabulary import Vocabulary
from gatewise.data.words import WordVocabulary
from gatewise.progress import tracked

Unit = Literal["bpe", "char", "word"]

_BPE_SIZE = 4096


class TextSide:
    """The tokens of a vocabulary, and one more: the end of a text, which stands before its first token too.

    Attributes:
        vocabulary: the tokens.
        end: the number of the end.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.end = vocabulary.size

    @classmethod
    def learn(cls, unit: Unit, texts: Iterable[str], size: int | None) -> "TextSide":
        """Learn the tokens of texts.

        Raises:
            ValueError: when the size does not suit the unit.
        """
        return cls(build_vocabulary(unit, "\n".join(texts), size or (_BPE_SIZE if unit == "bpe" else None)))

    @property
    def size(self) -> int:
        """The number of tokens, with the end."""
        return self.vocabulary.size + 1

    def read(self, text: str) -> Tensor:
        """The tokens of a text and its end, (T,) int64."""
        return torch.cat((self.vocabulary.encode(text), torch.tensor([self.end])))

    def write(self, tokens: Sequence[int]) -> str:
        """The text of tokens without their end."""
        return self.vocabulary.decode(tokens).strip()

    def names(self, tokens: Iterable[int]) -> list[str]:
        """Each token as a reader would like to see it."""
        return ["<end>" if token == self.end else self.vocabulary.name(token) for token in tokens]


def sides_of_parts(parts: dict[str, Any]) -> tuple[TextSide, TextSide]:
    """The sides of a run folder; one and the same where they are shared."""
    source = TextSide(parts["source"])
    target = parts.get("target")
    return source, source if target is None else TextSide(target)


def parts_of(source: TextSide, target: TextSide) -> dict[str, Any]:
    """What `sides_of_parts` needs."""
    return {"source": source.vocabulary, "target": None if target is source else target.vocabulary}


class Sources(NamedTuple):
    """Texts to be answered.

    Attributes:
        numbers: the tokens of each with its end, (T,) int64.
        cut: how many are the beginning of a longer text.
    """

    numbers: list[Tensor]
    cut: int


def read_sources(side: TextSide, texts: Iterable[str], longest: int) -> Sources:
    """The tokens of sources; of one that has more than `longest`, its end included, the beginning and an end."""
    whole = [side.read(text) for text in tracked(texts, "encoding", "sources")]
    cut = [len(numbers) > longest for numbers in whole]
    kept = [torch.cat((row[: longest - 1], row[-1:])) if long else row for row, long in zip(whole, cut, strict=True)]
    return Sources(kept, sum(cut))


def numbered(source: TextSide, target: TextSide, pairs: Iterable[Pair], longest: int) -> tuple[Sources, list[Tensor]]:
    """Pairs as the numbers of their tokens, each text with its end; targets are whole."""
    sources, targets = zip(*pairs, strict=True)
    return read_sources(source, sources, longest), [
        target.read(text) for text in tracked(targets, "encoding", "targets")
    ]


KINDS = (WordVocabulary,)
"""The kinds of vocabulary besides those that every task may have."""
