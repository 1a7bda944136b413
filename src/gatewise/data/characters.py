"""One token per character (Unicode code point)."""

from collections.abc import Iterable, Iterator
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from gatewise.data.text import check_characters
from gatewise.data.vocabulary import Vocabulary


def _code_points(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)


class CharacterVocabulary(Vocabulary):
    """The characters of a text in code point order, after number 0: any character that is not among them."""

    unit = "char"
    unknown = 0

    def __init__(self, characters: str) -> None:
        self._characters = characters
        self._points = _code_points(characters)

    @classmethod
    def learn(cls, text: str) -> Self:
        """All characters that stand in the text."""
        return cls("".join(sorted(set(text))))

    @property
    def size(self) -> int:
        return 1 + len(self._characters)

    def encode(self, text: str) -> Tensor:
        points = _code_points(check_characters(text))
        at = np.searchsorted(self._points, points).clip(max=len(self._points) - 1)
        return torch.from_numpy(np.where(self._points[at] == points, at + 1, 0).astype(np.int64))

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
