"""Whole sequences of different lengths in batches of similar length."""

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_POOL = 64


class Batch(NamedTuple):
    """B sequences.

    Attributes:
        inputs: what the network reads; the first is (T, B) or (T, B, I), padded.
        lengths: (B,) int64, the steps of each sequence.
        targets: (B,), (T, B) or (T, B, I).
    """

    inputs: tuple[Tensor, ...]
    lengths: Tensor
    targets: Tensor

    @property
    def steps(self) -> int:
        """The steps of all sequences."""
        return int(self.lengths.sum())


def portion(count: int, part: int, parts: int) -> slice:
    """The slice of `count` ordered items that belongs to one of several parts of (nearly) equal size.

    >>> [portion(5, part, 2) for part in range(2)]
    [slice(0, 2, None), slice(2, 5, None)]
    """
    return slice(part * count // parts, (part + 1) * count // parts)


class Batches(Protocol):
    """What can be iterated over once per epoch, and knows how many batches there are.

    With ``state_dict`` and ``load_state_dict`` for its position, a run can be resumed inside an epoch.
    """

    @property
    def most_steps(self) -> int:
        """Steps times sequences of the largest batch."""
        ...

    def __iter__(self) -> Iterator[Any]: ...
    def __len__(self) -> int: ...
    def sample(self, count: int, /) -> Iterator[Any]:
        """At most `count` of the batches, whatever the position."""
        ...


class SharedBatches(Batches, Protocol):
    """Batches that several processes can share out."""

    def share(self, part: int, parts: int, /) -> Self:
        """A part of every batch, for one of `parts` processes that train on each batch together."""
        ...

    def deal(self, part: int, parts: int, /) -> Self:
        """Some of the batches whole, for one of `parts` processes that score all of them together."""
        ...


class RaggedBatches:
    """Passes over sequences of different lengths, B at a time; those of a batch are of similar length.

    In training the order is drawn anew for each pass: sequences are shuffled, those of some 64 batches at a time sorted
    by length and cut into batches, and the batches shuffled. Otherwise all are sorted. The pass and the position in it
    are the state (`state_dict`, `load_state_dict`): training can resume inside an epoch.

    Batches of a number of steps, not of sequences, are always cut from all sequences in the order of their length;
    those of equal length are reordered in every pass, so that every pass has the same number of batches.

    Args:
        lengths: the steps of each sequence.
        make: makes the batch of some sequences, given by their numbers.
        size: the number of sequences B in a batch; the last may be smaller.
        steps: what B times the longest length of a batch must not exceed, instead of a number of sequences; a sequence
            that is longer has a batch of its own.
        seed: of the order in training; None for no shuffling.

    >>> list(RaggedBatches([3, 1, 2, 1], list, size=2))
    [[1, 3], [2, 0]]
    >>> list(RaggedBatches([3, 1, 2, 1], list, steps=4))
    [[1, 3], [2], [0]]
    """

    def __init__(
        self,
        lengths: Sequence[int] | NDArray[np.int64] | Tensor,
        make: Callable[[list[int]], Any],
        size: int = 1,
        *,
        steps: int | None = None,
        seed: int | None = None,
    ) -> None:
        self._lengths = torch.as_tensor(lengths, dtype=torch.int64)
        self._make = make
        self._size = size
        if steps is None:
            ends = [*range(size, len(self._lengths), size), *[len(self._lengths)] * (len(self._lengths) > 0)]
        else:
            ends = _ends(self._lengths.sort().values.numpy(), steps)
        self._ends = torch.tensor(ends, dtype=torch.int64)
        self._by_steps = steps is not None
        self._seed = seed
        self._pass = self._position = 0
        self._row, self._rows = 0, 1
        self._turn, self._turns = 0, 1

    def __len__(self) -> int:
        """The number of batches in a pass."""
        return -(-len(self._ends) // self._turns)

    def share(self, part: int, parts: int) -> Self:
        """Of N parts one has every N-th sequence of each batch, so that the parts have about the same lengths.

        All parts have the same number of batches; where one has fewer sequences than parts, some get `empty_batch`.

        >>> batches = RaggedBatches([3, 1, 2, 1, 4], list, size=3)
        >>> [list(batches.share(part, 2)) for part in range(2)]
        [[[1, 2], [0]], [[3], [4]]]
        """
        found = copy.copy(self)
        found._row, found._rows = part, parts
        return found

    def deal(self, part: int, parts: int) -> Self:
        """Of N parts one has every N-th batch; all have the same number, the last of which may be `empty_batch`.

        >>> batches = RaggedBatches([3, 1, 2, 1, 4], list, size=2)
        >>> [list(batches.deal(part, 2)) for part in range(2)]
        [[[1, 3], [4]], [[2, 0], Batch(inputs=(), lengths=tensor([]...), targets=tensor([]...))]]
        """
        found = copy.copy(self)
        found._turn, found._turns = part, parts
        return found

    def __iter__(self) -> Iterator[Any]:
        sequences, order = self._order()
        first, self._position = self._position, 0
        for index in range(first, len(self)):
            # Before the yield: a state that is saved while this batch is in use resumes after it.
            last = index + 1 == len(self)
            self._position = 0 if last else index + 1
            self._pass += last
            yield self._made(sequences, order, index)

    def sample(self, count: int) -> Iterator[Any]:
        """At most `count` of the batches, from the whole range of lengths; the position is unchanged."""
        sequences, order = self._order()
        for index in spread(len(self), min(count, len(self))):
            yield self._made(sequences, order, index)

    @property
    def most_steps(self) -> int:
        """The steps of the largest batch, or of its share, with padding."""
        if len(self._lengths) == 0:
            return 0
        ordered = self._lengths.sort().values
        if not self._by_steps:
            return self._rows_of(min(self._size, len(ordered))) * int(ordered[-1])
        counts = self._ends.diff(prepend=self._ends.new_zeros(1))
        return int((self._rows_of(counts) * ordered[self._ends - 1]).max())

    def state_dict(self) -> dict[str, int]:
        """The pass, and the batch in it, at which iteration over this object begins."""
        return {"pass": self._pass, "position": self._position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Begin at a saved position."""
        self._pass, self._position = state["pass"], state["position"]

    def _rows_of(self, count: Any) -> Any:
        """How many sequences of a batch of `count` the largest share has."""
        return -(-count // self._rows)

    def _made(self, sequences: Tensor, order: Tensor, index: int) -> Any:
        """The batch of this index in a pass, or this part's share of it."""
        turn = self._turn + index * self._turns
        if turn >= len(order):
            return empty_batch()
        batch = int(order[turn])
        start = int(self._ends[batch - 1]) if batch else 0
        chosen = sequences[start : int(self._ends[batch])][self._row :: self._rows].tolist()
        return self._make(chosen) if chosen else empty_batch()

    def _order(self) -> tuple[Tensor, Tensor]:
        """The sequences of a pass, (N,), batch after batch, and the order of the batches."""
        count = len(self._ends)
        if self._seed is None:
            return self._lengths.argsort(stable=True), torch.arange(count)
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + self._pass)
        sequences = torch.randperm(len(self._lengths), generator=generator)
        for pool in [sequences] if self._by_steps else sequences.split(_POOL * self._size):
            pool.copy_(pool[self._lengths[pool].argsort(stable=True)])
        return sequences, torch.randperm(count, generator=generator)


def empty_batch() -> Batch:
    """A batch of no sequences, for a process whose part of a batch has none."""
    none = torch.empty(0, dtype=torch.int64)
    return Batch((), none, none)


def spread(count: int, chosen: int) -> list[int]:
    """The indices of `chosen` of `count` items, in the middles of parts of equal length.

    >>> spread(10, 2), spread(3, 3)
    ([2, 7], [0, 1, 2])
    """
    return [(2 * index + 1) * count // (2 * chosen) for index in range(chosen)]


def _ends(lengths: NDArray[np.int64], steps: int) -> list[int]:
    """Where each batch ends, for lengths in order: the longest that `steps` allow, of one sequence at least."""
    found: list[int] = []
    start, count = 0, len(lengths)
    while start < count:
        least, most = 1, count - start
        while least < most:
            middle = (least + most + 1) // 2
            if middle * int(lengths[start + middle - 1]) <= steps:
                least = middle
            else:
                most = middle - 1
        start += least
        found.append(start)
    return found


def padded(rows: Sequence[Tensor], value: float = 0) -> Tensor:
    """Rows of different lengths as one tensor (T, B, …), T at least 1, padded with a value.

    >>> padded([torch.tensor([1, 2]), torch.tensor([3])]).tolist()
    [[1, 3], [2, 0]]
    """
    return side_by_side(torch.cat(list(rows)), torch.tensor([len(row) for row in rows]), value)


def side_by_side(flat: Tensor, lengths: Tensor, value: float = 0) -> Tensor:
    """Concatenated rows (N, …), of lengths (B,), as one tensor (T, B, …): see `padded`.

    >>> side_by_side(torch.tensor([1, 2, 3]), torch.tensor([2, 1])).tolist()
    [[1, 3], [2, 0]]
    """
    steps = max(1, int(lengths.max()))
    together = flat.new_full((len(lengths), steps, *flat.shape[1:]), value)
    together[torch.arange(steps) < lengths[:, None]] = flat
    return together.transpose(0, 1).contiguous()
