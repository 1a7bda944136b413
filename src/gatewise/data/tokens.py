"""Words and punctuation marks as tokens, for texts that are to be understood and not written."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Self

import torch
from torch import Tensor

from gatewise.data.vocabulary import Vocabulary
from gatewise.progress import tracked

UNKNOWN = "<unk>"
# English clitics are tokens of their own, as in the Penn Treebank and in most files of word vectors: do n't, it 's.
_TOKEN = re.compile(
    r"\w+(?=n['’]t\b)|n['’]t\b|['’](?:s|re|ve|d|ll|m)\b|\w+(?=['’](?:s|re|ve|d|ll|m)\b)|\w+|[^\w\s]", re.IGNORECASE
)
_MAX_SEEN = 100_000
_DIGIT = re.compile(r"\d")


def split_tokens(text: str) -> list[str]:
    """The words and punctuation marks of a text.

    >>> split_tokens("It's 3.14, don't you see?")
    ['It', "'s", '3', '.', '14', ',', 'do', "n't", 'you', 'see', '?']
    """
    return _TOKEN.findall(text)


class TokenVocabulary(Vocabulary):
    """``<unk>``, then the tokens that were seen often enough, the most frequent first.

    Args:
        tokens: the tokens, in their normal form.
        counts: how often each occurs in the data it was learned from; of ``<unk>`` 0.
        lower: whether words are read in lower case (Collobert et al. 2011, arXiv:1103.0398, section 3.1).
        digits: whether every digit is read as 0 (Lample et al. 2016, arXiv:1603.01360, section 5).

    >>> vocabulary = TokenVocabulary.learn([["In", "1999"], ["in", "2024", "?"]], lower=True, digits=True)
    >>> vocabulary.encode_tokens(["IN", "1812", "!"]).tolist()
    [2, 1, 0]
    """

    unit = "token"
    unknown = 0

    def __init__(self, tokens: list[str], counts: list[int], *, lower: bool, digits: bool) -> None:
        self._tokens = tokens
        self.counts = counts
        self._numbers = {token: number for number, token in enumerate(tokens)}
        self._seen: dict[str, int] = {}  # numbers of tokens as they are written: most of them come again
        self._lower = lower
        self._digits = digits

    @classmethod
    def learn(
        cls,
        rows: Iterable[Iterable[str]],
        size: int | None = None,
        *,
        min_count: int = 1,
        lower: bool = False,
        digits: bool = False,
    ) -> Self:
        """The tokens of some rows that occur at least `min_count` times, at most `size` tokens in all.

        Raises:
            ValueError: when no token is left.
        """
        empty = cls([UNKNOWN], [0], lower=lower, digits=digits)
        as_written, counts = Counter[str](), Counter[str]()
        for row in tracked(rows, "building the vocabulary", "texts"):
            as_written.update(row)
        for token, count in as_written.items():  # each once: that is most of the time
            counts[empty.normal(token)] += count
        often = (item for item in counts.items() if item[1] >= min_count and item[0] != UNKNOWN)
        kept = [token for token, _ in sorted(often, key=lambda item: (-item[1], item[0]))]
        if not kept:
            raise ValueError(f"there is no token that occurs {min_count} times in the data to learn from")
        kept = kept[: None if size is None else size - 1]
        return cls([UNKNOWN, *kept], [0, *(counts[token] for token in kept)], lower=lower, digits=digits)

    @property
    def size(self) -> int:
        return len(self._tokens)

    @property
    def tokens(self) -> list[str]:
        """All tokens, in order of their numbers."""
        return self._tokens

    def normal(self, token: str) -> str:
        """The form in which a token is looked up."""
        token = token.lower() if self._lower else token
        return _DIGIT.sub("0", token) if self._digits else token

    def encode_tokens(self, tokens: Iterable[str]) -> Tensor:
        """The numbers of some tokens, (N,) int64."""
        return torch.tensor([self._number(token) for token in tokens], dtype=torch.int64)

    def _number(self, token: str) -> int:
        found = self._seen.get(token)
        if found is None:
            found = self._numbers.get(self.normal(token), 0)
            if len(self._seen) < _MAX_SEEN:
                self._seen[token] = found
        return found

    def encode(self, text: str) -> Tensor:
        return self.encode_tokens(split_tokens(text))

    def decode_pieces(self, tokens: Iterable[int]) -> Iterator[str]:
        for index, token in enumerate(tokens):
            yield f" {self.name(token)}" if index else self.name(token)

    def name(self, token: int) -> str:
        return self._tokens[token]

    def content(self) -> dict[str, Any]:
        return {"lower": self._lower, "digits": self._digits, "tokens": self._tokens, "counts": self.counts}

    @classmethod
    def from_content(cls, content: dict[str, Any]) -> Self:
        tokens = content["tokens"]
        if tokens[:1] != [UNKNOWN] or len(set(tokens)) != len(tokens):
            raise ValueError(f"the tokens do not begin with {UNKNOWN}, or are not distinct")
        if len(content["counts"]) != len(tokens):
            raise ValueError(f"there are {len(tokens)} tokens and {len(content['counts'])} counts")
        return cls(tokens, content["counts"], lower=content["lower"], digits=content["digits"])
