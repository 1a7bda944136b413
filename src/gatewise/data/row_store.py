"""Rows of numbers in columns: in memory, or in files of a folder that are mapped into memory."""

import json
import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gatewise.writing import atomic_write, errors_of

_VERSION = 1
_INDEX = "rows.json"
_BUFFER = 1 << 20
_END = np.dtype("<i8")
_MALFORMED = (ValueError, LookupError, TypeError, AttributeError)


class Field(NamedTuple):
    """What rows have under one name.

    Attributes:
        dtype: the type of its numbers.
        shape: the shape of an item: () for a number, (I,) for the features of a time step.
        ragged: whether a row has any number of items, (T, ...), and not exactly one.
    """

    dtype: DTypeLike
    shape: tuple[int, ...] = ()
    ragged: bool = True

    @property
    def stored(self) -> np.dtype[Any]:
        """The type as files have it, little-endian."""
        return np.dtype(self.dtype).newbyteorder("<")


class RowStore:
    """N rows, each with an array for every field.

    Args:
        fields: the fields by name.
        count: the number of rows N.
        items: for each field the items of all rows, (N or their total, ...).
        ends: for each ragged field where the items of a row end, (N,).

    >>> store = RowWriter({"tokens": Field("uint8"), "label": Field("int64", ragged=False)})
    >>> store.append(tokens=[1, 2, 3], label=1)
    >>> store.append(tokens=[], label=0)
    >>> rows = store.finish()
    >>> len(rows), rows.row("tokens", 0).tolist(), rows.lengths("tokens").tolist(), rows.column("label").tolist()
    (2, [1, 2, 3], [3, 0], [1, 0])
    """

    def __init__(
        self,
        fields: Mapping[str, Field],
        count: int,
        items: Mapping[str, NDArray[Any]],
        ends: Mapping[str, NDArray[np.int64]],
    ) -> None:
        self.fields = dict(fields)
        self._count = count
        self._items = dict(items)
        self._ends = dict(ends)

    def __len__(self) -> int:
        return self._count

    def row(self, name: str, index: int) -> NDArray[Any]:
        """What one row has in a ragged field, (T, ...); not to be written to.

        Raises:
            IndexError: when there is no such row.
        """
        if not -len(self) <= index < len(self):
            raise IndexError(f"row {index} of {len(self)}")
        index %= len(self)
        ends = self._ends[name]
        start = int(ends[index - 1]) if index else 0
        return self._items[name][start : int(ends[index])]

    def items(self, name: str) -> NDArray[Any]:
        """What all rows have in a ragged field, one after the other, (their total, ...); not to be written to."""
        return self._items[name]

    def lengths(self, name: str) -> NDArray[np.int64]:
        """How many items each row has in a ragged field, (N,)."""
        return np.diff(self._ends[name], prepend=0)

    def column(self, name: str) -> NDArray[Any]:
        """What all rows have in a field that is not ragged, (N, ...); not to be written to."""
        assert not self.fields[name].ragged
        return self._items[name]

    @property
    def size(self) -> int:
        """The bytes of all rows."""
        return sum(array.nbytes for arrays in (self._items, self._ends) for array in arrays.values())


class RowWriter:
    """Collects rows for a `RowStore`, in memory or in a folder.

    A folder holds rows once `finish` has returned; to make that atomic, rename a temporary one.

    Args:
        fields: the fields by name; names of ragged ones must differ from those of others.
        folder: an empty folder to write to; None for memory.

    Raises:
        OSError: when a file cannot be written; so do its methods.
    """

    def __init__(self, fields: Mapping[str, Field], folder: Path | None = None) -> None:
        self._fields = dict(fields)
        self._folder = folder
        self._count = 0
        self._files = ExitStack()
        ragged = [name for name, field in fields.items() if field.ragged]
        self._items = {name: self._sink(f"{name}.items", field.stored) for name, field in fields.items()}
        self._ends = {name: self._sink(f"{name}.ends", _END) for name in ragged}
        self._totals = dict.fromkeys(ragged, 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the files; without `finish` before, the folder has no rows."""
        self._files.close()

    def append(self, **row: Any) -> None:
        """Add a row.

        Args:
            **row: for each field an array, or what numpy makes one of.

        Raises:
            ValueError: for an array of another shape.
        """
        for name, field in self._fields.items():
            array = np.asarray(row[name], field.stored)
            if field.ragged and array.size == 0 and array.shape[1:] != field.shape:
                array = array.reshape(0, *field.shape)
            if array.shape[field.ragged :] != field.shape or array.ndim != len(field.shape) + field.ragged:
                expected = ("T", *field.shape) if field.ragged else field.shape
                raise ValueError(f"{name}: expected an array of shape {expected}, got {array.shape}")
            self._items[name].add(array if field.ragged else array[None])
            if field.ragged:
                self._totals[name] += len(array)
                self._ends[name].add(np.array([self._totals[name]], _END))
        self._count += 1

    def finish(self) -> RowStore:
        """The rows."""
        if self._folder is None:
            items = {name: sink.array(self._fields[name].shape) for name, sink in self._items.items()}
            ends = {name: sink.array(()) for name, sink in self._ends.items()}
            return RowStore(self._fields, self._count, items, ends)
        for sink in (*self._items.values(), *self._ends.values()):
            sink.synchronise()
        self._files.close()
        index = {
            "version": _VERSION,
            "rows": self._count,
            "fields": {
                name: {
                    "dtype": field.stored.str,
                    "shape": list(field.shape),
                    "ragged": field.ragged,
                    "items": self._totals.get(name, self._count),
                }
                for name, field in self._fields.items()
            },
        }
        with atomic_write(self._folder / _INDEX) as file:
            file.write(json.dumps(index).encode())
        found = open_rows(self._folder)
        if found is None:
            raise OSError(f"{self._folder}: was changed while it was being written; try again")
        return found

    def _sink(self, name: str, dtype: np.dtype[Any]) -> "_Sink":
        if self._folder is None:
            return _Sink(dtype)
        path = self._folder / name
        with errors_of(path):
            return _Sink(dtype, self._files.enter_context(path.open("wb")), path)


class _Sink:
    """Collects arrays in one array, or writes them to a file, a megabyte at a time."""

    def __init__(self, dtype: np.dtype[Any], file: BinaryIO | None = None, path: Path | None = None) -> None:
        self._dtype = dtype
        self._file, self._path = file, path
        self._pending: list[NDArray[Any]] = []
        self._blocks: list[NDArray[Any]] = []
        self._bytes = 0

    def add(self, array: NDArray[Any]) -> None:
        self._pending.append(array)
        self._bytes += array.nbytes
        if self._bytes >= _BUFFER or len(self._pending) >= _BUFFER // 64:
            self._flush()

    def array(self, shape: tuple[int, ...]) -> NDArray[Any]:
        self._flush()
        return np.concatenate([np.zeros((0, *shape), self._dtype), *self._blocks])

    def synchronise(self) -> None:
        self._flush()
        assert self._file is not None
        assert self._path is not None
        with errors_of(self._path):
            self._file.flush()
            os.fsync(self._file.fileno())

    def _flush(self) -> None:
        if not self._pending:
            return
        block = np.concatenate(self._pending)
        self._pending, self._bytes = [], 0
        if self._file is None:
            self._blocks.append(block)
            return
        assert self._path is not None
        with errors_of(self._path):
            self._file.write(np.ascontiguousarray(block).data)


def open_rows(folder: Path) -> RowStore | None:
    """The rows that a `RowWriter` left in a folder; None where they are missing or incomplete."""
    try:
        index = json.loads((folder / _INDEX).read_bytes())
        if index["version"] != _VERSION:
            return None
        count = int(index["rows"])
        fields, items, ends = dict[str, Field](), dict[str, NDArray[Any]](), dict[str, NDArray[Any]]()
        for name, found in index["fields"].items():
            field = fields[name] = Field(np.dtype(found["dtype"]), tuple(found["shape"]), bool(found["ragged"]))
            items[name] = _mapped(folder / f"{name}.items", field.stored, (int(found["items"]), *field.shape))
            if field.ragged:
                ends[name] = _mapped(folder / f"{name}.ends", _END, (count,))
    except (OSError, *_MALFORMED):
        return None
    return RowStore(fields, count, items, ends)


def _mapped(path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """A file as an array.

    Raises:
        ValueError: when it is of another size.
    """
    size = path.stat().st_size
    if size != dtype.itemsize * int(np.prod(shape, dtype=np.int64)):
        raise ValueError(f"{path}: {size} bytes, expected an array {shape} of {dtype}")
    if size == 0:
        return np.zeros(shape, dtype)
    # Not as numpy.memmap, of which a slice takes several times as long as one of an array.
    return np.memmap(path, dtype=dtype, mode="r", shape=shape).view(np.ndarray)
