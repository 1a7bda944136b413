"""Vocabularies: text to token numbers and back. Characters, words and byte pairs behind one interface."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from torch import Tensor

from gatewise.writing import atomic_write

FORMAT, VERSION = "gatewise-vocabulary", 1

Unit = Literal["char", "word", "bpe", "token"]


class Vocabulary(ABC):
    """What a model needs to know about its tokens, numbered from 0 to `size` - 1.

    Attributes:
        unit: the kind of token: "char", "word", "bpe" or "token" (a word or a punctuation mark).
        unknown: the number that stands for whatever the vocabulary does not have, None where that cannot happen.
    """

    unit: ClassVar[Unit]
    unknown: int | None

    @property
    @abstractmethod
    def size(self) -> int:
        """The number of tokens V."""

    @abstractmethod
    def encode(self, text: str) -> Tensor:
        """The tokens of a text, (N,) int64."""

    @abstractmethod
    def decode_pieces(self, tokens: Iterable[int]) -> Iterator[str]:
        """The text of a stream of tokens, piece by piece as it becomes known; joined, it is the whole text."""

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of a sequence of tokens."""
        return "".join(self.decode_pieces(tokens))

    @abstractmethod
    def name(self, token: int) -> str:
        """One token as a reader would like to see it."""

    @abstractmethod
    def content(self) -> dict[str, Any]:
        """What `from_content` needs to make the same vocabulary again, as JSON values."""

    @classmethod
    @abstractmethod
    def from_content(cls, content: dict[str, Any]) -> Self:
        """The vocabulary that `content` described."""

    def save(self, path: Path) -> None:
        """Write the vocabulary as JSON, atomically."""
        with atomic_write(path) as file:
            file.write(self.to_json().encode("utf-8"))

    def to_json(self) -> str:
        """The vocabulary as JSON, the same for the same vocabulary."""
        document = {"format": FORMAT, "version": VERSION, "unit": self.unit, **self.content()}
        return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


def build_vocabulary(unit: Literal["char", "word", "bpe"], text: str, size: int | None = None) -> Vocabulary:
    """Learn a vocabulary from the training text.

    Args:
        unit: "char", "word" or "bpe".
        text: the training text.
        size: for words, keep at most so many (default: all); for bpe, the number of tokens (default: 2048). A
            character vocabulary always has every character of the text.

    Raises:
        ValueError: when `size` does not suit the unit.

    >>> vocabulary = build_vocabulary("char", "hello")
    >>> vocabulary.encode("hell").tolist(), vocabulary.decode([3, 1])
    ([2, 1, 3, 3], 'le')
    """
    if unit == "char":
        from gatewise.data.characters import CharacterVocabulary

        if size is not None:
            raise ValueError("a vocabulary size is for words and bpe; a char vocabulary has every character")
        return CharacterVocabulary.learn(text)
    from gatewise.data.subwords import BytePairVocabulary
    from gatewise.data.words import WordVocabulary

    return WordVocabulary.learn(text, size) if unit == "word" else BytePairVocabulary.learn(text, size or 2048)


def load_vocabulary(path: Path) -> Vocabulary:
    """Read a vocabulary that `Vocabulary.save` wrote.

    Raises:
        ValueError: when the file is not one.
        OSError: when it cannot be read.
    """
    from gatewise.data.characters import CharacterVocabulary
    from gatewise.data.subwords import BytePairVocabulary
    from gatewise.data.words import WordVocabulary

    try:
        document = json.loads(path.read_bytes())
        if (document["format"], document["version"]) != (FORMAT, VERSION):
            raise ValueError(f"expected {FORMAT} version {VERSION}, got {document['format']} {document['version']}")
        kinds = {kind.unit: kind for kind in (CharacterVocabulary, WordVocabulary, BytePairVocabulary)}
        if document["unit"] not in kinds:
            raise ValueError(f"unknown unit {document['unit']!r}")
        return kinds[document["unit"]].from_content(document)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: not a vocabulary of gatewise, or a corrupt one ({error})") from None
