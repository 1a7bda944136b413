"""Examples of a table, in memory or, where they are many, in files that are mapped into memory."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Generic, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from gatewise.data.row_store import Field, RowStore, RowWriter

Example = TypeVar("Example")

IN_MEMORY = 1 << 26
"""Bytes of examples, as JSON, up to which they are kept in memory."""

_CONTENT = "json"
FIELDS = {_CONTENT: Field("uint8")}


class StoredExamples(Sequence[Example], Generic[Example]):
    """Examples of a store, each read when it is asked for.

    Attributes:
        whole: the SHA-256 of all examples of the store.
        identity: a text that is the same only for the same examples.

    Args:
        rows: what `gather` has written.
        whole: see there.
        restore: makes an example of its JSON value.
        chosen: which of the rows, by their numbers; all by default.
        part: a text that is the same only for the same choice.
    """

    def __init__(
        self,
        rows: RowStore,
        whole: str,
        restore: Callable[[Any], Example],
        chosen: NDArray[np.int64] | None = None,
        part: str = "",
    ) -> None:
        self.whole = whole
        self.identity = f"{whole} {part}"
        self._rows = rows
        self._restore = restore
        self._chosen = chosen

    def __len__(self) -> int:
        return len(self._rows) if self._chosen is None else len(self._chosen)

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> list[Example]: ...
    def __getitem__(self, index: int | slice) -> Example | list[Example]:
        if isinstance(index, slice):
            return [self[one] for one in range(*index.indices(len(self)))]
        row = index if self._chosen is None else int(self._chosen[index])
        return self._restore(json.loads(self._rows.row(_CONTENT, row).tobytes().decode("utf-8", "surrogatepass")))

    def __iter__(self) -> Iterator[Example]:
        return (self[index] for index in range(len(self)))

    def part(self, chosen: NDArray[np.bool_], name: str) -> "StoredExamples[Example]":
        """Some of all examples.

        Args:
            chosen: which, (N,).
            name: a text that is the same only for the same choice.
        """
        assert self._chosen is None
        return StoredExamples(self._rows, self.whole, self._restore, np.flatnonzero(chosen), name)

    def every(self, step: int) -> "StoredExamples[Example]":
        """Every `step`-th of the examples, beginning with the first."""
        chosen = np.arange(len(self)) if self._chosen is None else self._chosen
        return StoredExamples(self._rows, self.whole, self._restore, chosen[::step], f"{self.identity} every {step}")

    @property
    def size(self) -> int:
        """The bytes of the store, which other parts of it share."""
        return self._rows.size


def gather(
    examples: Iterable[Example], make_folder: Callable[[], Path] | None = None
) -> tuple[list[Example] | RowStore, str]:
    """All of some examples, and the SHA-256 of their JSON.

    Args:
        examples: values of JSON; tuples are lists of it.
        make_folder: makes an empty folder, where the examples are written if they are more than `IN_MEMORY`; None to
            keep them in memory in any case.

    Returns:
        the examples, or the rows for `StoredExamples`.

    Raises:
        OSError: when a file cannot be written.
    """
    digest = sha256(b"[")
    kept: list[Example] = []
    writer: RowWriter | None = None
    size, separator = 0, b""
    try:
        for example in examples:
            content = _as_json(example)
            digest.update(separator + content)
            size, separator = size + len(content), b","
            if writer is None and make_folder is not None and size > IN_MEMORY:
                writer = RowWriter(FIELDS, make_folder())
                for earlier in kept:
                    writer.append(json=np.frombuffer(_as_json(earlier), np.uint8))
                kept.clear()
            if writer is None:
                kept.append(example)
            else:
                writer.append(json=np.frombuffer(content, np.uint8))
        digest.update(b"]")
        return (kept if writer is None else writer.finish()), digest.hexdigest()
    finally:
        if writer is not None:
            writer.close()


def _as_json(example: object) -> bytes:
    return json.dumps(example, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
