"""One token per character (Unicode code point)."""

import sys
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from gatewise.data.vocabulary import TextVocabulary

_POINTS = sys.maxunicode + 1
_BYTES = 256


def _code_points(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)


class CharacterVocabulary(TextVocabulary):
    """The characters of a text in code point order, after number 0: any character that is not among them."""

    unit = "char"
    unknown = 0

    def __init__(self, characters: str) -> None:
        self._characters = characters

    @classmethod
    def _learn(cls, chunks: Iterable[str], size: int | None) -> Self:
        """All characters of the text."""
        found = np.zeros(_POINTS, dtype=np.bool_)
        for chunk in chunks:
            found[_code_points(chunk)] = True
        return cls("".join(map(chr, found.nonzero()[0].tolist())))

    @property
    def size(self) -> int:
        return 1 + len(self._characters)

    @cached_property
    def _table(self) -> NDArray[Any]:
        """The token of every code point."""
        table = np.zeros(_POINTS, dtype=self.dtype)
        table[_code_points(self._characters)] = np.arange(1, self.size)
        return table

    def encode_chunks(self, chunks: Iterable[str]) -> Iterator[NDArray[Any]]:
        # Bytes are translated several times as fast as an array is indexed.
        of_bytes = self._table[:_BYTES].tobytes() if self.dtype == np.uint8 else None
        for chunk in chunks:
            if of_bytes is not None and chunk.isascii():
                yield np.frombuffer(chunk.encode("ascii").translate(of_bytes), dtype=np.uint8)
            else:
                yield self._table[_code_points(chunk)]

    def characters_in(self, tokens: NDArray[Any]) -> int:
        return len(tokens)

    def decode_pieces(self, tokens: Iterable[int]) -> Iterator[str]:
        for token in tokens:
            yield self.name(token)

    def name(self, token: int) -> str:
        return self._characters[token - 1] if token else "\N{REPLACEMENT CHARACTER}"

    def content(self) -> dict[str, Any]:
        return {"characters": self._characters}

    @classmethod
    def from_content(cls, content: dict[str, Any]) -> Self:
        characters = content["characters"]
        if not characters or sorted(set(characters)) != list(characters):
            raise ValueError("the characters are not distinct and in order")
        return cls(characters)
