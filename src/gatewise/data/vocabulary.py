"""Vocabularies: text to token numbers and back. Characters, words and byte pairs behind one interface."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gatewise.data.text import check_characters
from gatewise.writing import atomic_write

FORMAT, VERSION = "gatewise-vocabulary", 1

Unit = Literal["char", "word", "bpe", "token"]


class Vocabulary(ABC):
    """What a model needs to know about its tokens, numbered from 0 to `size` - 1.

    Attributes:
        unit: the kind of token: "char", "word", "bpe" or "token" (a word or a punctuation mark).
        unknown: the number of the unknown token, None for a vocabulary without one.
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


class TextVocabulary(Vocabulary):
    """A vocabulary of running text, which encodes a text of any length part by part."""

    @classmethod
    def learn(cls, text: str | Iterable[str], size: int | None = None) -> Self:
        """Learn the tokens of a text, whole or in parts.

        Args:
            text: the text.
            size: the largest number of tokens, where that can be chosen.

        Raises:
            ValueError: when `size` does not suit the unit.
        """
        return cls._learn([text] if isinstance(text, str) else text, size)

    @classmethod
    @abstractmethod
    def _learn(cls, chunks: Iterable[str], size: int | None) -> Self:
        """The same for a text in parts."""

    @abstractmethod
    def encode_chunks(self, chunks: Iterable[str]) -> Iterator[NDArray[Any]]:
        """The tokens of a text that comes in parts; joined, they are those of the whole, wherever it was cut."""

    @abstractmethod
    def characters_in(self, tokens: NDArray[Any]) -> int:
        """How many characters begin in the first tokens of a text, (N,)."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The smallest unsigned integers that hold every token."""
        return np.min_scalar_type(self.size - 1)

    def encode(self, text: str) -> Tensor:
        parts = [part.astype(np.int64) for part in self.encode_chunks([check_characters(text)])]
        return torch.from_numpy(np.concatenate([np.zeros(0, np.int64), *parts]))
