"""Token numbers in files that are mapped into memory, so that reading them takes no memory of the process."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatewise.writing import atomic_write

SHARD = 1 << 28
"""Tokens in a file, but in the last."""


class Shards:
    """Token numbers (N,) in several arrays, one after another.

    >>> ids = Shards([np.array([1, 2, 3]), np.array([4, 5])])
    >>> len(ids), ids[1:4].tolist(), ids[:1].tolist()
    (5, [2, 3, 4], [1])
    """

    def __init__(self, arrays: Sequence[NDArray[Any]]) -> None:
        self._arrays = arrays
        self._ends = list(accumulate(map(len, arrays)))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def beginning(self, count: int) -> "Shards":
        """The first of them, which are not copied as a slice over several arrays is."""
        starts = (end - len(array) for array, end in zip(self._arrays, self._ends, strict=True))
        return Shards([array[: max(count - start, 0)] for array, start in zip(self._arrays, starts, strict=True)])

    def __getitem__(self, index: slice) -> NDArray[Any]:
        start, stop, step = index.indices(len(self))
        if step != 1:
            raise ValueError(f"expected a slice of step 1, got {step}")
        pieces: list[NDArray[Any]] = []
        for array, end in zip(self._arrays, self._ends, strict=True):
            begin = end - len(array)
            if start < end and begin < stop:
                pieces.append(array[max(start - begin, 0) : stop - begin])
        return pieces[0] if len(pieces) == 1 else np.concatenate([self._arrays[0][:0], *pieces])


def write_shards(folder: Path, name: str, blocks: Iterable[NDArray[Any]]) -> list[int]:
    """Write token numbers into files of a folder.

    Args:
        folder: the folder.
        name: what the names of the files begin with.
        blocks: the numbers, part by part.

    Returns:
        how many are in each file.

    Raises:
        OSError: when a file cannot be written.
    """
    counts: list[int] = []
    pieces = _pieces(blocks)
    piece = next(pieces, None)
    while piece is not None:
        counts.append(0)
        with atomic_write(_path(folder, name, len(counts) - 1)) as file:
            while piece is not None and counts[-1] < SHARD:
                file.write(np.ascontiguousarray(piece, dtype=piece.dtype.newbyteorder("<")).data)
                counts[-1] += len(piece)
                piece = next(pieces, None)
    return counts


def open_shards(folder: Path, name: str, dtype: np.dtype[Any], counts: Sequence[int]) -> Shards | None:
    """The token numbers that `write_shards` wrote; None where a file is missing or of another size.

    Args:
        folder, name: see there.
        dtype: the type of the numbers.
        counts: how many are in each file.
    """
    stored = dtype.newbyteorder("<")
    arrays: list[NDArray[Any]] = []
    for number, count in enumerate(counts):
        path = _path(folder, name, number)
        if not path.is_file() or path.stat().st_size != count * stored.itemsize:
            return None
        arrays.append(np.memmap(path, dtype=stored, mode="r"))
    return Shards(arrays or [np.zeros(0, stored)])


def _pieces(blocks: Iterable[NDArray[Any]]) -> Iterator[NDArray[Any]]:
    """The blocks, cut where a file ends."""
    room = SHARD
    for block in blocks:
        while len(block):
            yield block[:room]
            room, block = room - len(block[:room]) or SHARD, block[room:]


def _path(folder: Path, name: str, number: int) -> Path:
    return folder / f"{name}-{number:05}.bin"
