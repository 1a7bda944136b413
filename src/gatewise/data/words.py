"""One token per word, as language models on the Penn Treebank read it: split at white space, <eos> at line ends."""

from collections.abc import Iterable, Iterator
from operator import itemgetter
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from gatewise.data.vocabulary import TextVocabulary

UNKNOWN, END_OF_LINE = "<unk>", "<eos>"


class WordVocabulary(TextVocabulary):
    """``<unk>``, ``<eos>``, then words, the most frequent first (Mikolov et al. 2010; Zaremba et al. 2014).

    A text that has ``<unk>`` as a word (the Penn Treebank does) means the same token by it.
    """

    unit = "word"
    unknown = 0

    def __init__(self, words: list[str]) -> None:
        self._words = words
        self._tokenizer = _tokenizer({word: number for number, word in enumerate(words)})

    @classmethod
    def _learn(cls, chunks: Iterable[str], size: int | None) -> Self:
        """The words of a text, at most `size` tokens in all, equally frequent ones in alphabetical order."""
        if size is not None and size < 3:
            raise ValueError(
                f"a word vocabulary needs a size of at least 3 ({UNKNOWN}, {END_OF_LINE}, a word), got {size}"
            )
        counter = _tokenizer({})
        trainer = trainers.WordLevelTrainer(vocab_size=2**31, show_progress=False)
        counter.train_from_iterator((line for part in _whole_words(chunks) for line in _lines(part)), trainer)
        words = sorted(counter.get_vocab().items(), key=itemgetter(1))
        kept = [word for word, _ in words if word not in (UNKNOWN, END_OF_LINE)]
        return cls([UNKNOWN, END_OF_LINE, *kept][:size])

    @property
    def size(self) -> int:
        return len(self._words)

    def encode_chunks(self, chunks: Iterable[str]) -> Iterator[NDArray[Any]]:
        for part in _whole_words(chunks):
            encodings = self._tokenizer.encode_batch_fast(_lines(part))
            yield np.array([token for encoding in encodings for token in encoding.ids], dtype=self.dtype)

    def characters_in(self, tokens: NDArray[Any]) -> int:
        return sum(map(len, self.decode_pieces(tokens.tolist())))

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


def _tokenizer(numbers: dict[str, int]) -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel(numbers, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Replace("\n", f" {END_OF_LINE} ")
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return tokenizer


def _lines(text: str) -> list[str]:
    # Not str.splitlines: that also splits at characters which are no line ends to anyone else.
    lines = text.split("\n")
    return [f"{line}\n" for line in lines[:-1]] + [lines[-1]] * bool(lines[-1])


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
