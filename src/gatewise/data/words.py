"""One token per word, as language models on the Penn Treebank read it: split at white space, <eos> at line ends."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import repeat
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from gatewise.data.vocabulary import TextVocabulary

UNKNOWN, END_OF_LINE = "<unk>", "<eos>"
_END_OF_LINE_TOKEN = 1
_CONTROLS = "\x1c\x1d\x1e\x1f"
_WORD = re.compile(rf"[\S{_CONTROLS}]+")


class WordVocabulary(TextVocabulary):
    """``<unk>``, ``<eos>``, then words, the most frequent first (Mikolov et al. 2010; Zaremba et al. 2014).

    A text that has ``<unk>`` as a word (the Penn Treebank does) means the same token by it.
    """

    unit = "word"
    unknown = 0

    def __init__(self, words: list[str]) -> None:
        self._words = words
        self._numbers = {word: number for number, word in enumerate(words)}

    @classmethod
    def _learn(cls, chunks: Iterable[str], size: int | None) -> Self:
        """The words of a text, at most `size` tokens in all, equally frequent ones in alphabetical order."""
        if size is not None and size < 3:
            raise ValueError(
                f"a word vocabulary needs a size of at least 3 ({UNKNOWN}, {END_OF_LINE}, a word), got {size}"
            )
        counts = Counter[str]()
        for part in _whole_words(chunks):
            counts.update(_words(part))
        words = sorted(counts, key=lambda word: (-counts[word], word))
        kept = [word for word in words if word not in (UNKNOWN, END_OF_LINE)]
        return cls([UNKNOWN, END_OF_LINE, *kept][:size])

    @property
    def size(self) -> int:
        return len(self._words)

    def encode_chunks(self, chunks: Iterable[str]) -> Iterator[NDArray[Any]]:
        for part in _whole_words(chunks):
            words = _words(part)
            yield np.fromiter(map(self._numbers.get, words, repeat(self.unknown)), self.dtype, len(words))

    def characters_in(self, tokens: NDArray[Any]) -> int:
        inside = tokens != _END_OF_LINE_TOKEN  # a word; between two of them is a space
        return int(self._lengths[tokens].sum() + (inside[1:] & inside[:-1]).sum())

    @cached_property
    def _lengths(self) -> NDArray[np.int64]:
        """The characters of each token."""
        return np.array([1 if word == END_OF_LINE else len(word) for word in self._words], dtype=np.int64)

    def decode_pieces(self, tokens: Iterable[int]) -> Iterator[str]:
        at_line_start = True
        for token in tokens:
            word = self.name(token)
            at_line_end = word == END_OF_LINE
            yield "\n" if at_line_end else word if at_line_start else f" {word}"
            at_line_start = at_line_end

    def name(self, token: int) -> str:
        return self._words[token]

    def content(self) -> dict[str, Any]:
        return {"words": self._words}

    @classmethod
    def from_content(cls, content: dict[str, Any]) -> Self:
        words = content["words"]
        if words[:2] != [UNKNOWN, END_OF_LINE] or len(set(words)) != len(words):
            raise ValueError(f"the words do not begin with {UNKNOWN}, {END_OF_LINE}, or are not distinct")
        return cls(words)


def _words(text: str) -> list[str]:
    marked = text.replace("\n", f" {END_OF_LINE} ")
    # Four control characters are white space to Python alone. Splitting at all of it is several times as fast.
    return _WORD.findall(marked) if any(map(marked.__contains__, _CONTROLS)) else marked.split()


def _whole_words(chunks: Iterable[str]) -> Iterator[str]:
    """The same text in parts that cut no word in two."""
    pending: list[str] = []
    for chunk in chunks:
        end = max(chunk.rfind("\n"), chunk.rfind(" ")) + 1
        if end:
            yield "".join([*pending, chunk[:end]])
            pending.clear()
        pending.append(chunk[end:])
    yield "".join(pending)
