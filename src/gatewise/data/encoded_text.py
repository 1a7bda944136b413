"""A text as token numbers, in memory or mapped from files."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gatewise.data.shards import Shards
from gatewise.data.texts import Text
from gatewise.data.vocabulary import TextVocabulary
from gatewise.progress import Progress

_COUNTED = 1 << 20


class Ids(Protocol):
    """Token numbers (N,): an array, a tensor, or anything else with a length and slices."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: slice, /) -> Any: ...


@dataclass(frozen=True)
class EncodedText:
    """The tokens of a text.

    Attributes:
        ids: their numbers, (N,).
        characters: how many characters the text has.
    """

    ids: Ids
    characters: int

    def __len__(self) -> int:
        return len(self.ids)

    def beginning(self, tokens: int, vocabulary: TextVocabulary) -> "EncodedText":
        """The first tokens, in a vocabulary."""
        pieces = range(0, min(tokens, len(self)), _COUNTED)
        counts = (
            vocabulary.characters_in(np.asarray(self.ids[start : min(start + _COUNTED, tokens)])) for start in pieces
        )
        ids = self.ids.beginning(tokens) if isinstance(self.ids, Shards) else self.ids[:tokens]
        return EncodedText(ids, sum(counts))


def encode_in_memory(text: Text, vocabulary: TextVocabulary) -> EncodedText:
    """The tokens of a text, in memory, as the smallest numbers that hold them."""
    parts = list(encoded_chunks({"": text}, vocabulary)[""])
    return EncodedText(np.concatenate([np.zeros(0, vocabulary.dtype), *parts]), text.characters)


def encoded_chunks(texts: Mapping[str, Text], vocabulary: TextVocabulary) -> dict[str, Iterator[NDArray[Any]]]:
    """The tokens of texts part by part, with their progress."""

    def encoded(name: str, text: Text) -> Iterator[NDArray[Any]]:
        what = f"encoding {name.replace('_', ' ')}".rstrip()
        with Progress(what, "characters", text.characters) as progress:

            def counted() -> Iterator[str]:
                for chunk in text.chunks():
                    yield chunk
                    progress.advance(len(chunk), len(chunk))

            yield from vocabulary.encode_chunks(counted())

    return {name: encoded(name, text) for name, text in texts.items()}
