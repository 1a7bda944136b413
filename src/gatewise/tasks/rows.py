"""Rows of tokens or numbers, and the interface of what makes the inputs of a network from them."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, Protocol, TypeVar, overload

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from gatewise.models.encoder import Encoder


class Row(Protocol):
    """A sequence of T steps."""

    @property
    def length(self) -> int:
        """T."""
        ...


class Reader(Protocol):
    """Makes the inputs of a network from rows, and has the layers that read them."""

    @property
    def parts(self) -> dict[str, Any]:
        """What is kept in the run folder."""
        ...

    def first_layer(self, options: Any, /) -> nn.Module:
        """What makes steps (T, B, I) of inputs, with its initial weights."""
        ...

    def encoder(self, options: Any, steps: Any, /) -> Encoder:
        """The encoder that the options describe, over the steps of a first layer, with its initial weights."""
        ...

    def batch(self, rows: Sequence[Any]) -> tuple[tuple[Tensor, ...], Tensor]:
        """The inputs of a batch and their lengths (B,)."""
        ...


AnyRow = TypeVar("AnyRow", bound=Row, covariant=True)


class StoredRows(Sequence[AnyRow]):
    """Rows of a store, each read when it is asked for."""

    @property
    @abstractmethod
    def lengths(self) -> NDArray[np.int64]:
        """The number of steps of each row, (N,)."""

    @abstractmethod
    def read(self, index: int) -> AnyRow:
        """One row, for an index from 0 to N - 1."""

    def __len__(self) -> int:
        return len(self.lengths)

    @overload
    def __getitem__(self, index: int) -> AnyRow: ...
    @overload
    def __getitem__(self, index: slice) -> list[AnyRow]: ...
    def __getitem__(self, index: int | slice) -> AnyRow | list[AnyRow]:
        if isinstance(index, slice):
            return [self.read(one) for one in range(*index.indices(len(self)))]
        return self.read(range(len(self))[index])

    def __iter__(self) -> Iterator[AnyRow]:
        return map(self.read, range(len(self)))


def steps_of(rows: Sequence[Row]) -> NDArray[np.int64]:
    """The number of steps of each row, (N,), without reading those of a store."""
    if isinstance(rows, StoredRows):
        return rows.lengths
    return np.fromiter((row.length for row in rows), np.int64, len(rows))
