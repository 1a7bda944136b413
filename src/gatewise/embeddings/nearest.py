"""The nearest words of a file of vectors by cosine similarity."""

import heapq
import operator
import os
from typing import NamedTuple

import numpy as np

from gatewise.embeddings.layout import open_rows
from gatewise.embeddings.loading import load_embedding, spellings

_BLOCK = 4096


class Neighbour(NamedTuple):
    """A word and the cosine of the angle between its vector and the query."""

    word: str
    cosine: float


def nearest_words(path: str | os.PathLike[str], word: str, count: int = 10) -> list[Neighbour]:
    r"""The words of a file nearest to one of its words by cosine, the nearest first.

    The file is read twice, in blocks, without being kept in memory. Words with a zero vector are skipped.

    Args:
        path: a file that `load_embedding` reads.
        word: looked up as written, then in lower case, then with digits as 0.
        count: the number of words, fewer if the file has no more.

    Raises:
        ValueError: when the word is not in the file or its vector is zero, `count` is below 1, or the file is
            malformed.
        OSError: when the file cannot be read.

    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "vectors.txt"
    ...     _ = file.write_text("cat 1 1\ndog 2 1\nloud -1 1\n")
    ...     [f"{neighbour.word} {neighbour.cosine:.3f}" for neighbour in nearest_words(file, "Cat")]
    ['dog 0.949', 'loud 0.000']
    """
    if operator.index(count) < 1:
        raise ValueError(f"count: expected a whole number from 1, got {count}")
    matrix, found, coverage = load_embedding(path, [word])
    if not found[0]:
        tried = ", ".join(map(repr, dict.fromkeys(spellings(word))))
        raise ValueError(f"{path}: no vector for the word (looked for {tried})")
    used = spellings(word)[[coverage.as_written, coverage.lower_cased, coverage.digits_folded].index(1)]
    query = matrix[0].astype(np.float64)
    if not query.any():
        raise ValueError(f"{path}: the vector of {used!r} is zero and has no direction; name another word")
    query /= np.linalg.norm(query)
    near = _Nearest(query, count, exclude=used.encode("utf-8", "surrogatepass"))
    rows = open_rows(path)
    words: list[bytes] = []
    block = np.empty((_BLOCK, rows.width))
    for row in rows:
        block[len(words)] = rows.numbers(row)
        words.append(row.word)
        if len(words) == _BLOCK:
            near.update(words, block)
            words.clear()
    near.update(words, block[: len(words)])
    return [Neighbour(word.decode("utf-8", "replace"), cosine) for cosine, _, word in near.sorted()]


class _Nearest:
    """The `count` nearest words so far; ties keep the earlier word."""

    def __init__(self, query: np.ndarray, count: int, exclude: bytes) -> None:
        self._query = query
        self._count = count
        self._known = {exclude}
        self._order = 0
        self._heap: list[tuple[float, int, bytes]] = []  # the least near on top

    def update(self, words: list[bytes], block: np.ndarray) -> None:
        lengths = np.sqrt(np.einsum("ij,ij->i", block, block))
        cosines = np.divide(block @ self._query, lengths, out=np.full(len(words), -np.inf), where=lengths > 0)
        for index in np.argsort(-cosines, kind="stable"):
            entry = (float(cosines[index]), self._order - int(index), words[index])
            if entry[0] == -np.inf or (len(self._heap) == self._count and entry < self._heap[0]):
                break
            if entry[2] in self._known:
                continue
            self._known.add(entry[2])
            if len(self._heap) < self._count:
                heapq.heappush(self._heap, entry)
            else:
                self._known.discard(heapq.heapreplace(self._heap, entry)[2])
        self._order -= len(words)

    def sorted(self) -> list[tuple[float, int, bytes]]:
        return sorted(self._heap, reverse=True)
