"""Examples as tokens: encoded once, in memory or in the cache."""

import json
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gatewise.data.example_store import StoredExamples
from gatewise.data.row_store import Field, RowStore, RowWriter, open_rows
from gatewise.data.row_tensors import RowTensors
from gatewise.data.vocabulary_file import Part, to_json
from gatewise.progress import tracked
from gatewise.tasks import data_cache
from gatewise.tasks.rows import StoredRows
from gatewise.tasks.token_reader import CUT, FEATURES, NUMBERS, Tokens

SAMPLE = 1 << 27
"""Bytes of stored examples up to which words and byte pairs are learned from all of them."""

_VERSION = 1


class TokenRows(StoredRows[Tokens]):
    """Encoded texts or sentences, in the order of their examples.

    Attributes:
        store: the rows, with the fields of `TokenReader.fields` and perhaps others.
        numbers: the tokens of each row, (T,) int64.

    Args:
        store: see there.
        written: the tokens of an example as they are written; None where they are not needed.
    """

    def __init__(self, store: RowStore, written: Callable[[int], list[str]] | None = None) -> None:
        self.store = store
        self._written = written
        self.numbers = RowTensors(store, NUMBERS)
        self._features = RowTensors(store, FEATURES) if FEATURES in store.fields else None
        self._lengths = self.numbers.lengths

    @property
    def lengths(self) -> NDArray[np.int64]:
        return self._lengths

    def read(self, index: int) -> Tokens:
        written = [] if self._written is None else self._written(index)
        features = None if self._features is None else self._features[index]
        return Tokens(self.numbers[index], written, bool(self.store.column(CUT)[index]), features)

    @property
    def cut(self) -> int:
        """How many were cut."""
        return int(np.count_nonzero(self.store.column(CUT)))

    def count(self, number: int | None) -> int:
        """How often a token occurs; 0 for None."""
        if number is None:
            return 0
        return sum(int(np.count_nonzero(self.store.row(NUMBERS, row) == number)) for row in range(len(self)))

    def counts(self, size: int) -> torch.Tensor:
        """How often each of the tokens of a vocabulary occurs, (V,)."""
        found = torch.zeros(size, dtype=torch.int64)
        for numbers in self.numbers:
            found += torch.bincount(numbers, minlength=size)
        return found


def encode_examples(
    examples: Sequence[Any],
    fields: Mapping[str, Field],
    encode: Callable[[Any], Mapping[str, Any]],
    vocabulary: Mapping[str, Part | None],
    settings: Mapping[str, object],
    unit: str,
) -> RowStore:
    """Examples as rows: in memory, or in the cache where the examples are stored.

    Args:
        examples: the examples.
        fields: of the rows.
        encode: the row of an example.
        vocabulary: all that `encode` depends on and that a run folder keeps.
        settings: what else it depends on, as JSON values.
        unit: what examples are called, in the plural.

    Raises:
        ValueError: what `encode` raises.
        OSError: when the cache cannot be written.
    """

    def write(folder: Path | None) -> RowStore:
        with RowWriter(fields, folder) as writer:
            for example in tracked(examples, "encoding", unit):
                writer.append(**encode(example))
            return writer.finish()

    if not isinstance(examples, StoredExamples):
        return write(None)
    forms = {name: [field.stored.str, field.shape, field.ragged] for name, field in fields.items()}
    content = {
        "version": _VERSION,
        "examples": examples.identity,
        "fields": forms,
        "vocabulary": sha256(to_json(vocabulary).encode()).hexdigest(),
        "settings": dict(settings),
    }
    key = sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    rows, _ = data_cache.find_or_make("tokens", key, open_rows, write, f"encodes the same {unit}")
    return rows


def sample_of(examples: Sequence[Any], unit: str) -> tuple[Sequence[Any], str]:
    """What tokens are learned from, and a notice of it, which is empty where it is all of the examples.

    Args:
        examples: the examples; those in memory are taken whole.
        unit: of the tokens; characters, which take no memory, are learned from all examples.
    """
    if not isinstance(examples, StoredExamples) or unit == "char":
        return examples, ""
    step = -(-examples.size // SAMPLE)
    if step == 1:
        return examples, ""
    sample = examples.every(step)
    return sample, f", learned from a sample of {len(sample):,} examples (every one of {step})"
