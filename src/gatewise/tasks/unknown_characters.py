"""Characters of an input that a character model has never seen."""

from collections import Counter
from collections.abc import Sequence

from torch import Tensor

from gatewise.data.vocabulary import Vocabulary
from gatewise.progress import say

_SHOWN = 5


class UnknownCharacters:
    """Counts the characters of texts that the vocabulary of a model does not have, for one notice.

    Words are not counted: a vocabulary of words is never complete, and their spellings are read too.

    Args:
        vocabulary: the vocabulary.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._total = 0
        self._unknown = 0
        self._characters: Counter[str] = Counter()

    def add(self, numbers: Tensor, characters: Sequence[str] = ()) -> None:
        """Count those of a text.

        Args:
            numbers: its tokens, (T,) int64.
            characters: the T characters, where they are known.
        """
        if self._vocabulary.unit != "char" or self._vocabulary.unknown is None:
            return
        found: list[int] = (numbers == self._vocabulary.unknown).nonzero()[:, 0].tolist()
        self._total += len(numbers)
        self._unknown += len(found)
        self._characters.update([characters[index] for index in found if index < len(characters)])

    def report(self) -> None:
        """Print the notice, if there were any."""
        if self._unknown:
            named = [repr(character) for character, _ in self._characters.most_common(_SHOWN)]
            further = len(self._characters) - len(named)
            listed = f" ({', '.join(named)}{f' and {further:,} more' if further else ''})" if named else ""
            say(
                f"warning: {self._unknown:,} of {self._total:,} characters are not in the model's vocabulary{listed}; "
                "they are read as unknown"
            )
