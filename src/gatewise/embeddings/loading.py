"""Loading the vectors of a vocabulary from a file of any size."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from gatewise.embeddings.layout import open_rows
from gatewise.progress import tracked
from gatewise.writing import as_path


@dataclass(frozen=True)
class Coverage:
    """The coverage of a vocabulary by a file of vectors, by spelling.

    Attributes:
        file: name of the file.
        width: the number of numbers of a word, E.
        words: words of the vocabulary, V.
        as_written: words found as they are.
        lower_cased: words found in lower case only.
        digits_folded: words found in lower case with 0 for every digit only.
        repeated: rows ignored because an earlier row has the same word.
    """

    file: str
    width: int
    words: int
    as_written: int
    lower_cased: int
    digits_folded: int
    repeated: int = 0

    @property
    def found(self) -> int:
        """Words found in any spelling."""
        return self.as_written + self.lower_cased + self.digits_folded

    def __str__(self) -> str:
        """One line for people.

        >>> print(Coverage("glove.txt", 50, words=80, as_written=50, lower_cased=8, digits_folded=2))
        glove.txt, 50 numbers a word: 60 of 80 words found (75.0 %): 50 as written, 8 in lower case, 2 with digits as 0
        """
        line = (
            f"{self.file}, {self.width} numbers a word: {self.found:,} of {self.words:,} words found "
            f"({_percent(self.found, self.words)}): {self.as_written:,} as written, "
            f"{self.lower_cased:,} in lower case, {self.digits_folded:,} with digits as 0"
        )
        if self.repeated:
            line += f"; {self.repeated:,} repeated in the file, where the first counts"
        return line


class Embedding(NamedTuple):
    """The vectors of a vocabulary.

    Attributes:
        matrix: (V, E) float32, a row for each word; zero where the file has none.
        found: (V,) bool, whether the file has the word.
        coverage: how many were found, and how; `str` of it is a line to print.
    """

    matrix: np.ndarray
    found: np.ndarray
    coverage: Coverage


def load_embedding(path: str | os.PathLike[str], words: Sequence[str]) -> Embedding:
    r"""Read the vectors of a vocabulary from a file of word2vec, GloVe or fastText.

    The format is detected from the content: word2vec's text and binary files, GloVe's with and without header,
    fastText's ``.vec``; plain or packed with gzip, bzip2 or xz. The file is read once from its beginning to its end
    without being kept in memory: only the matrix, a chunk of the file and the spellings of the vocabulary are.

    A word is looked up as written, then in lower case, then in lower case with every digit as 0, as Lample et
    al. (2016, arXiv:1603.01360) do in their published code. Of several rows for one word the first counts.

    Args:
        path: the file.
        words: the V words of the vocabulary, in the order of the rows of the matrix.

    Returns:
        the matrix (V, E) float32, which words were found (V,) bool, and the coverage.

    Raises:
        ValueError: when a row is malformed: its line (text) or byte (binary), expected and actual content; and
            when the file is empty, cut off, or in an unknown format. In rows of other
            words, only the width and the characters of the numbers are checked.
        OSError: when the file cannot be read.

    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "vectors.txt"
    ...     _ = file.write_text("the 0.5 1\ncat 2 -1\n0000 3 3\n")
    ...     matrix, found, coverage = load_embedding(file, ["The", "cat", "1984", "dog"])
    >>> matrix.tolist(), found.tolist()
    ([[0.5, 1.0], [2.0, -1.0], [3.0, 3.0], [0.0, 0.0]], [True, True, True, False])
    >>> print(coverage)
    vectors.txt, 2 numbers a word: 3 of 4 words found (75.0 %): 1 as written, 1 in lower case, 1 with digits as 0
    """
    if isinstance(words, str):
        raise TypeError("words: expected a sequence of words, got one str; write [word]")
    path = as_path("path", path)
    rows = open_rows(path)
    wanted: dict[bytes, list[tuple[int, int]]] = {}
    for number, word in enumerate(words):
        for rank, variant in enumerate(spellings(word)):
            wanted.setdefault(variant.encode("utf-8", "surrogatepass"), []).append((number, rank))
    matrix = np.zeros((len(words), rows.width), dtype=np.float32)
    best = np.full(len(words), _NOT_FOUND, dtype=np.int8)
    seen, repeated = set[bytes](), 0
    for row in tracked(rows, f"reading {path.name}", "words"):
        if row.word not in wanted:
            continue
        repeated += row.word in seen
        seen.add(row.word)
        values = rows.numbers(row)
        for number, rank in wanted[row.word]:
            if rank < best[number]:  # not for a repeated row: the first counts
                matrix[number], best[number] = values, rank
    counts = [int((best == rank).sum()) for rank in range(_NOT_FOUND)]
    return Embedding(matrix, best < _NOT_FOUND, Coverage(path.name, rows.width, len(words), *counts, repeated=repeated))


_NOT_FOUND = 3


def spellings(word: str) -> tuple[str, str, str]:
    """The spellings under which a word is looked up, in order of preference.

    >>> spellings("Apollo13")
    ('Apollo13', 'apollo13', 'apollo00')
    """
    return word, word.lower(), re.sub(r"\d", "0", word.lower())


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "0 %"
