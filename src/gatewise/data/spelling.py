"""The spellings of the words of a batch: each distinct word once."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from gatewise.data.batches import side_by_side
from gatewise.data.characters import CharacterVocabulary


class Spellings(NamedTuple):
    """The characters of U distinct words.

    Attributes:
        characters: (C, U) int64, padded.
        lengths: (U,) int64, the characters of each word.
        word: (T, B) int64, the index of the word at each position; 0 in the padding.
    """

    characters: Tensor
    lengths: Tensor
    word: Tensor


def spell(rows: Sequence[Sequence[str]], alphabet: CharacterVocabulary) -> Spellings:
    """The spellings of rows of words.

    >>> found = spell([["a", "to", "a"], ["to"]], CharacterVocabulary.learn("ato"))
    >>> found.characters.T.tolist(), found.lengths.tolist(), found.word.T.tolist()
    ([[1, 0], [3, 2]], [1, 2], [[0, 1, 0], [1, 0, 0]])
    """
    numbers: dict[str, int] = {}
    indices = [[numbers.setdefault(word, len(numbers)) for word in row] for row in rows]
    words = list(numbers) or [""]
    lengths = torch.tensor([len(word) for word in words])
    return Spellings(
        side_by_side(alphabet.encode("".join(words)), lengths),
        lengths,
        side_by_side(
            torch.tensor([index for row in indices for index in row], dtype=torch.int64),
            torch.tensor([len(row) for row in indices]),
        ),
    )
