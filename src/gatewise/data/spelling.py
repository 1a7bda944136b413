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
        place: (T, B) int64, which of the U words stands where; 0 in the padding.
    """

    characters: Tensor
    lengths: Tensor
    place: Tensor


def spell(rows: Sequence[Sequence[str]], alphabet: CharacterVocabulary) -> Spellings:
    """The spellings of rows of words.

    >>> found = spell([["a", "to", "a"], ["to"]], CharacterVocabulary.learn("ato"))
    >>> found.characters.T.tolist(), found.lengths.tolist(), found.place.T.tolist()
    ([[1, 0], [3, 2]], [1, 2], [[0, 1, 0], [1, 0, 0]])
    """
    numbers: dict[str, int] = {}
    places = [[numbers.setdefault(word, len(numbers)) for word in row] for row in rows]
    words = list(numbers) or [""]
    lengths = torch.tensor([len(word) for word in words])
    return Spellings(
        side_by_side(alphabet.encode("".join(words)), lengths),
        lengths,
        side_by_side(
            torch.tensor([place for row in places for place in row], dtype=torch.int64),
            torch.tensor([len(row) for row in places]),
        ),
    )
