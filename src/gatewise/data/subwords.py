"""Byte pair encoding on bytes (Sennrich et al. 2016; Radford et al. 2019): any text, nothing unknown."""

from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import islice
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from gatewise.data.vocabulary import TextVocabulary

_BYTES = 256
_PART = 1 << 16
_BATCH = 16


class BytePairVocabulary(TextVocabulary):
    """The 256 bytes and the pairs of tokens that were merged most often in the training text."""

    unit = "bpe"
    unknown = None

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    @classmethod
    def _learn(cls, chunks: Iterable[str], size: int | None) -> Self:
        """Learn merges until there are `size` tokens (by default 2048), or fewer where there are no more pairs."""
        size = 2048 if size is None else size
        if size <= _BYTES:
            raise ValueError(f"a bpe vocabulary needs a size above {_BYTES} (the single bytes), got {size}")
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
        tokenizer.train_from_iterator(_parts(chunks), trainer)
        return cls(tokenizer)

    @property
    def size(self) -> int:
        return self._tokenizer.get_vocab_size()

    def encode_chunks(self, chunks: Iterable[str]) -> Iterator[NDArray[Any]]:
        parts = _parts(chunks)
        while batch := list(islice(parts, _BATCH)):
            encodings = self._tokenizer.encode_batch_fast(batch)
            yield np.array([token for encoding in encodings for token in encoding.ids], dtype=self.dtype)

    def characters_in(self, tokens: NDArray[Any]) -> int:
        return int(self._characters_begun[tokens].sum())

    @cached_property
    def _characters_begun(self) -> NDArray[np.int64]:
        """How many characters begin in each token: its bytes that do not continue one in UTF-8."""
        names = sorted(self._tokenizer.get_vocab(), key=self._tokenizer.get_vocab().__getitem__)
        return np.array([sum(letter not in _CONTINUING for letter in name) for name in names], dtype=np.int64)

    def decode_pieces(self, tokens: Iterable[int]) -> Iterator[str]:
        # A character may span tokens: DecodeStream holds its bytes back until the last has come.
        stream, pending = decoders.DecodeStream(), list[int]()
        for token in tokens:
            pending.append(token)
            piece = stream.step(self._tokenizer, token)
            if piece:
                pending.clear()
                yield piece
        if pending:
            yield self._tokenizer.decode(pending)

    def name(self, token: int) -> str:
        return self._tokenizer.decode([token])

    def content(self) -> dict[str, Any]:
        return {"tokenizer": self._tokenizer.to_str()}

    @classmethod
    def from_content(cls, content: dict[str, Any]) -> Self:
        try:
            return cls(Tokenizer.from_str(content["tokenizer"]))
        except Exception as error:  # tokenizers raises plain Exception
            raise ValueError(str(error)) from None


def _parts(chunks: Iterable[str]) -> Iterator[str]:
    """The text in parts of some 64 thousand characters, cut after line ends where there are any.

    One encoding of a whole book holds far more than its token numbers; parts keep that small. They depend on the text
    alone, not on the chunks that it comes in.
    """
    text = ""
    for chunk in chunks:
        text, start = text + chunk, 0
        while len(text) - start > _PART:
            end = text.rfind("\n", start, start + _PART) + 1 or start + _PART
            yield text[start:end]
            start = end
        text = text[start:]
    if text:
        yield text


def _letters() -> list[str]:
    """The letter of each byte in the names of tokens (Radford et al. 2019): itself where it is printed."""
    printed = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = (chr(_BYTES + number) for number in range(_BYTES))
    return [chr(byte) if byte in printed else next(others) for byte in range(_BYTES)]


_CONTINUING = frozenset(_letters()[0x80:0xC0])
