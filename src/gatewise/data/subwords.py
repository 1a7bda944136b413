"""Byte pair encoding on bytes (Sennrich et al. 2016; Radford et al. 2019): any text, nothing unknown."""

from collections.abc import Iterable, Iterator
from typing import Any, Self

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor

from gatewise.data.text import check_characters
from gatewise.data.vocabulary import Vocabulary

_BYTES = 256
_PART = 1 << 16


class BytePairVocabulary(Vocabulary):
    """The 256 bytes and the pairs of tokens that were merged most often in the training text."""

    unit = "bpe"
    unknown = None

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    @classmethod
    def learn(cls, text: str, size: int) -> Self:
        """Learn merges until there are `size` tokens, or fewer where the text has no more pairs to merge."""
        if size <= _BYTES:
            raise ValueError(f"a bpe vocabulary needs a size above {_BYTES} (the single bytes), got {size}")
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
        tokenizer.train_from_iterator(_parts(text), trainer)
        return cls(tokenizer)

    @property
    def size(self) -> int:
        return self._tokenizer.get_vocab_size()

    def encode(self, text: str) -> Tensor:
        encodings = self._tokenizer.encode_batch_fast(list(_parts(check_characters(text))))
        return torch.tensor([token for encoding in encodings for token in encoding.ids], dtype=torch.int64)

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


def _parts(text: str) -> Iterator[str]:
    """The text in parts of some 64 thousand characters, cut after line ends where there are any.

    One encoding of a whole book holds far more than its token numbers; parts keep that small.
    """
    start = 0
    while start < len(text):
        end = start + _PART
        if end < len(text):
            end = text.rfind("\n", start, end) + 1 or end
        yield text[start:end]
        start = end
