"""A field of stored rows as tensors, one for each row."""

from collections.abc import Iterator, Sequence, Sized
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gatewise.data.row_store import RowStore


class RowTensors(Sequence[Tensor]):
    """The rows of a ragged field, (T, ...) each: integers as int64, which tokens and tags are; copied when read.

    Attributes:
        store: the rows.

    Args:
        store: see there.
        name: the field.
        chosen: which of the rows, by their numbers; all by default.
    """

    def __init__(self, store: RowStore, name: str, chosen: NDArray[np.int64] | None = None) -> None:
        self.store = store
        self._name = name
        self._chosen = chosen
        kind = store.fields[name].stored
        self._dtype = np.dtype(np.int64) if kind.kind in "iu" else kind.newbyteorder("=")

    def __len__(self) -> int:
        return len(self.store) if self._chosen is None else len(self._chosen)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """The length T of each row, (N,)."""
        lengths = self.store.lengths(self._name)
        return lengths if self._chosen is None else lengths[self._chosen]

    @overload
    def __getitem__(self, index: int) -> Tensor: ...
    @overload
    def __getitem__(self, index: slice) -> list[Tensor]: ...
    def __getitem__(self, index: int | slice) -> Tensor | list[Tensor]:
        if isinstance(index, slice):
            return [self[one] for one in range(*index.indices(len(self)))]
        row = index if self._chosen is None else int(self._chosen[index])
        return torch.from_numpy(self.store.row(self._name, row).astype(self._dtype))

    def __iter__(self) -> Iterator[Tensor]:
        return (self[index] for index in range(len(self)))


def lengths_of(rows: Sequence[Sized]) -> NDArray[np.int64]:
    """The lengths of rows, (N,), without reading those of a store."""
    if isinstance(rows, RowTensors):
        return rows.lengths
    return np.fromiter(map(len, rows), np.int64, len(rows))


def values_at(values: Any, indices: Sequence[int]) -> Tensor:
    """Some of the values of a field that is not ragged, or of a list, as a tensor (B, ...)."""
    if isinstance(values, np.ndarray):
        found = values[list(indices)]
        return torch.from_numpy(found.astype(found.dtype.newbyteorder("="), copy=False))
    return torch.tensor([values[index] for index in indices])
