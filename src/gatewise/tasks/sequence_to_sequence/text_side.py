"""One side of a pair: texts to the numbers of tokens with an end, and back."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from gatewise.data.pairs import Pair
from gatewise.data.row_store import Field
from gatewise.data.row_tensors import RowTensors
from gatewise.data.vocabularies import build_vocabulary
from gatewise.data.vocabulary import Vocabulary
from gatewise.data.words import WordVocabulary
from gatewise.progress import tracked
from gatewise.tasks.token_reader import joined_lines
from gatewise.tasks.token_rows import encode_examples

Unit = Literal["bpe", "char", "word"]

_BPE_SIZE = 4096


class TextSide:
    """The tokens of a vocabulary, and one more: the end of a text, which also precedes its first token.

    Attributes:
        vocabulary: the tokens.
        end: the number of the end.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.end = vocabulary.size

    @classmethod
    def learn(cls, unit: Unit, texts: Iterable[str], size: int | None) -> "TextSide":
        """Learn the tokens of texts.

        Raises:
            ValueError: when the size does not suit the unit.
        """
        return cls(build_vocabulary(unit, joined_lines(texts), size or (_BPE_SIZE if unit == "bpe" else None)))

    @property
    def size(self) -> int:
        """The number of tokens, with the end."""
        return self.vocabulary.size + 1

    def read(self, text: str) -> Tensor:
        """The tokens of a text and its end, (T,) int64."""
        return torch.cat((self.vocabulary.encode(text), torch.tensor([self.end])))

    def write(self, tokens: Sequence[int]) -> str:
        """The text of tokens without their end."""
        return self.vocabulary.decode(tokens).strip()

    def names(self, tokens: Iterable[int]) -> list[str]:
        """Each token as a reader would like to see it."""
        return ["<end>" if token == self.end else self.vocabulary.name(token) for token in tokens]


def sides_of_parts(parts: dict[str, Any]) -> tuple[TextSide, TextSide]:
    """The sides of a run folder; one and the same where they are shared."""
    source = TextSide(parts["source"])
    target = parts.get("target")
    return source, source if target is None else TextSide(target)


def parts_of(source: TextSide, target: TextSide) -> dict[str, Any]:
    """What `sides_of_parts` needs."""
    return {"source": source.vocabulary, "target": None if target is source else target.vocabulary}


class Sources(NamedTuple):
    """Source texts.

    Attributes:
        numbers: the tokens of each with its end, (T,) int64.
        cut: how many are the beginning of a longer text.
    """

    numbers: list[Tensor]
    cut: int


def read_sources(side: TextSide, texts: Iterable[str], longest: int) -> Sources:
    """The tokens of sources; of one that has more than `longest`, its end included, the beginning and an end."""
    read = [_read_source(side, text, longest) for text in tracked(texts, "encoding", "sources")]
    return Sources([numbers for numbers, _ in read], sum(cut for _, cut in read))


def _read_source(side: TextSide, text: str, longest: int) -> tuple[Tensor, bool]:
    """The tokens of a source, and whether it was cut."""
    whole = side.read(text)
    if len(whole) <= longest:
        return whole, False
    return torch.cat((whole[: longest - 1], whole[-1:])), True


class EncodedPairs(NamedTuple):
    """Pairs as the numbers of their tokens, each text with its end.

    Attributes:
        sources: the sources, as in `read_sources`.
        targets: the targets, which are whole.
        cut: how many sources are the beginning of a longer text.
    """

    sources: RowTensors
    targets: RowTensors
    cut: int

    def with_targets_up_to(self, longest: int) -> tuple[RowTensors, RowTensors]:
        """The sources and targets of the pairs whose target has at most `longest` tokens."""
        store, chosen = self.targets.store, np.flatnonzero(self.targets.lengths <= longest)
        return RowTensors(store, _SOURCE, chosen), RowTensors(store, _TARGET, chosen)


_SOURCE, _CUT, _TARGET = "source", "cut", "target"


def encode_pairs(source: TextSide, target: TextSide, pairs: Sequence[Pair], longest: int) -> EncodedPairs:
    """Pairs as tokens; sources as in `read_sources`."""

    def encode(pair: Pair) -> dict[str, Any]:
        numbers, cut = _read_source(source, pair[0], longest)
        return {_SOURCE: numbers.numpy(), _CUT: cut, _TARGET: target.read(pair[1]).numpy()}

    fields = {
        _SOURCE: Field(np.min_scalar_type(source.end)),
        _CUT: Field("bool", ragged=False),
        _TARGET: Field(np.min_scalar_type(target.end)),
    }
    store = encode_examples(pairs, fields, encode, parts_of(source, target), {"longest": longest}, "pairs")
    cut = int(np.count_nonzero(store.column(_CUT)))
    return EncodedPairs(RowTensors(store, _SOURCE), RowTensors(store, _TARGET), cut)


KINDS = (WordVocabulary,)
"""The kinds of vocabulary besides those that every task may have."""
