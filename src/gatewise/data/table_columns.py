"""Columns of tables in memory: text as Arrow keeps it, numbers as float64."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from gatewise.data.arrow_compute import arrow_compute, has_nul
from gatewise.data.cells import cell_number, cell_text
from gatewise.data.numerals import MISSING, parse_number

if TYPE_CHECKING:
    import pyarrow

_PART = 8192
_FEW = 8
"""Cells that Python reads sooner than Arrow begins."""
_NAN = float("nan")
_FIRST_DAY = np.datetime64("0001-01-01", "us")


class TextColumn(Sequence[str]):
    """A column of text.

    Args:
        parts: its cells in order, as arrays of strings.
    """

    def __init__(self, parts: Sequence["pyarrow.Array"]) -> None:
        import pyarrow

        self._cells = pyarrow.chunked_array(parts, pyarrow.string())

    @classmethod
    def joined(cls, columns: Iterable["TextColumn"]) -> "TextColumn":
        """Columns one after the other."""
        return cls([part for column in columns for part in column._cells.chunks])

    def __len__(self) -> int:
        return len(self._cells)

    @overload
    def __getitem__(self, row: int) -> str: ...
    @overload
    def __getitem__(self, row: slice) -> list[str]: ...
    def __getitem__(self, row: int | slice) -> str | list[str]:
        return self._cells[row].as_py() if isinstance(row, int) else self._cells[row].to_pylist()

    def __iter__(self) -> Iterator[str]:
        for index in range(0, len(self), _PART):
            yield from self._cells.slice(index, _PART).to_pylist()

    def stamps(self, *, in_utc: bool) -> NDArray[np.datetime64] | None:
        """The time stamps of texts in ISO 8601 that have at least a day; None where one is not in Arrow's form of it.

        Args:
            in_utc: whether all are to have a distance from UTC, and are read in UTC; otherwise none is to have one.
        """
        import pyarrow

        try:
            found = self._cells.cast(pyarrow.timestamp("us", "UTC" if in_utc else None))
        except pyarrow.ArrowException:
            return None
        stamps = found.to_numpy().astype("M8[us]")
        return None if len(stamps) and stamps.min() < _FIRST_DAY else stamps

    def codes(self) -> tuple[list[str], NDArray[np.int64]]:
        """The different texts, in the order of their first rows, and which of them each row has."""
        encoded = self._cells.dictionary_encode().unify_dictionaries()
        names: list[str] = encoded.chunk(0).dictionary.to_pylist() if encoded.num_chunks else []
        parts = [np.asarray(chunk.indices, np.int64) for chunk in encoded.chunks]
        return names, np.concatenate([np.empty(0, np.int64), *parts])


@dataclass
class NumberColumn(Sequence[float | str]):
    """A column of numbers, and of texts among them.

    A missing cell reads as an empty text.

    Attributes:
        values: NaN for what is missing or a text.
        texts: what is neither a number nor missing, by its row.
    """

    values: NDArray[np.float64]
    texts: dict[int, str] = field(default_factory=dict)

    @classmethod
    def joined(cls, columns: Iterable["NumberColumn"]) -> "NumberColumn":
        """Columns one after the other."""
        values, texts, rows = list[NDArray[np.float64]](), dict[int, str](), 0
        for column in columns:
            texts |= {rows + row: text for row, text in column.texts.items()}
            values.append(column.values)
            rows += len(column)
        return cls(np.concatenate(values), texts)

    def __len__(self) -> int:
        return len(self.values)

    @overload
    def __getitem__(self, row: int) -> float | str: ...
    @overload
    def __getitem__(self, row: slice) -> list[float | str]: ...
    def __getitem__(self, row: int | slice) -> float | str | list[float | str]:
        if isinstance(row, slice):
            return [self[index] for index in range(*row.indices(len(self)))]
        value = float(self.values[row])
        return value if value == value else self.texts.get(row, "")

    def __iter__(self) -> Iterator[float | str]:
        for row, value in enumerate(self.values):
            number = float(value)
            yield number if number == number else self.texts.get(row, "")


Column = TextColumn | NumberColumn


class ColumnBuilder:
    """A column that is read part by part.

    Args:
        number: whether numbers are kept as such.
        decimal: the decimal mark of numbers in text.
        first: the number of its first row in the table, from 0.
    """

    def __init__(self, *, number: bool, decimal: str = ".", first: int = 0) -> None:
        self._number, self._decimal, self._first = number, decimal, first
        self._parts: list[Any] = []
        self._texts: dict[int, str] = {}
        self._rows = 0

    def add_text(self, cells: "pyarrow.Array") -> None:
        """Add cells that are text; of a column of numbers, the numbers that they write."""
        if not self._number:
            self._add(cells)
            return
        values, texts = numbers_in(cells, self._decimal)
        self._add_numbers(values, texts)

    def add_typed(self, cells: "pyarrow.Array", where: str, column: str, *, blank: bool, text: bool) -> None:
        """Add cells that have a type.

        Args:
            cells: the cells.
            where: what to call the rows before their number.
            column: the name of the column.
            blank: whether cells may be missing.
            text: whether the column must hold text.

        Raises:
            ValueError: see `cell_text`.
        """
        from pyarrow import types

        kind = cells.type
        if self._number and (types.is_integer(kind) or types.is_floating(kind)):
            values = cells.cast("float64", safe=False).to_numpy(zero_copy_only=False)
            missing = np.flatnonzero(np.isnan(values))
            if len(missing) and not blank:
                cell_text(None, f"{where} {self._first + self._rows + int(missing[0]) + 1}", column)
            self._add_numbers(values, {})
        elif not self._number and _is_plain_text(cells, blank):
            cells.validate(full=True)
            self._add(cells.fill_null("").cast("string"))
        else:
            rows = range(self._first + self._rows + 1, self._first + self._rows + 1 + len(cells))
            self.add_values(cells.to_pylist(), [f"{where} {row}" for row in rows], column, blank=blank, text=text)

    def add_values(
        self, cells: Sequence[object], positions: Sequence[str], column: str, *, blank: bool, text: bool
    ) -> None:
        """Add values of JSON or Python, each with its location; otherwise as `add_typed`."""
        import pyarrow

        def as_text(row: int) -> str:
            return cell_text(cells[row], positions[row], column, blank=blank, text=text)

        if not self._number:
            self._add(pyarrow.array(map(as_text, range(len(cells))), pyarrow.string()))
            return
        numbers = [cell_number(cell) for cell in cells]
        values = np.array([_NAN if number is None else number for number in numbers], np.float64)
        rows = [row for row, number in enumerate(numbers) if number is None]
        values[rows], texts = _parsed([as_text(row) for row in rows], ".")
        self._add_numbers(values, {rows[index]: one for index, one in texts.items()})

    def finish(self) -> Column:
        """The whole column."""
        if self._number:
            values = np.concatenate([np.empty(0), *self._parts])
            self._parts.clear()
            return NumberColumn(values, self._texts)
        return TextColumn(self._parts)

    def _add(self, part: Any) -> None:
        self._parts.append(part)
        self._rows += len(part)

    def _add_numbers(self, values: NDArray[np.float64], texts: dict[int, str]) -> None:
        self._texts |= {self._rows + row: text for row, text in texts.items()}
        self._add(values)


def _is_plain_text(cells: "pyarrow.Array", blank: bool) -> bool:
    """Whether cells are text without anything that `cell_text` rejects."""
    from pyarrow import types

    if not (types.is_string(cells.type) or types.is_large_string(cells.type)) or (cells.null_count and not blank):
        return False
    return not has_nul(cells)


def numbers_in(cells: "pyarrow.Array", decimal: str = ".") -> tuple[NDArray[np.float64], dict[int, str]]:
    """The numbers that texts write, NaN for a missing one and for any other text; and those other texts by row.

    >>> import pyarrow
    >>> numbers_in(pyarrow.array(["1.5", "NA", "many", ""]))
    (array([1.5, nan, nan, nan]), {2: 'many'})
    """
    import pyarrow

    if len(cells) < _FEW:
        return _parsed(cells.to_pylist(), decimal)
    compute = arrow_compute()
    missing = compute.is_in(cells, value_set=pyarrow.array(_SPELLINGS, cells.type))
    numbers = compute.if_else(missing, pyarrow.scalar(None, cells.type), cells)
    try:
        if decimal != ".":
            if compute.any(compute.match_substring(numbers, ".")).as_py():
                return _parsed(cells.to_pylist(), decimal)
            numbers = compute.replace_substring(numbers, decimal, ".")
        values: NDArray[np.float64] = numbers.cast("float64").to_numpy(zero_copy_only=False)
    except pyarrow.ArrowException:
        return _parsed(cells.to_pylist(), decimal)
    # Arrow takes "nan(1)" for a number.
    if np.count_nonzero(np.isnan(values)) > (compute.sum(missing).as_py() or 0):
        return _parsed(cells.to_pylist(), decimal)
    return values, {}


_SPELLINGS = sorted({spelled for word in MISSING for spelled in (word, word.upper(), word.title())} | {"NaN", "NaT"})


def _parsed(texts: Sequence[str], decimal: str) -> tuple[NDArray[np.float64], dict[int, str]]:
    found = [parse_number(text, decimal) for text in texts]
    values = np.array([_NAN if number is None else number for number in found], np.float64)
    others = {
        row: text
        for row, (text, number) in enumerate(zip(texts, found, strict=True))
        if number is None and text.strip().lower() not in MISSING
    }
    return values, others


@dataclass(frozen=True)
class RowLocations:
    """Where the rows of a table are, for messages.

    Attributes:
        where: what to call the table.
        unit: what rows are counted in: "line" or "row".
        count: the number of rows.
        count_lines: reads the line of each row, which takes time and only messages need; None where rows are counted.
        first: the number of the first row in the table, from 0.
    """

    where: str
    unit: str
    count: int
    count_lines: Callable[[], Iterable[int]] | None = None
    first: int = 0

    def full_location(self, row: int) -> str:
        """The table and location of a row (from 0)."""
        return f"{self.where}: {self.location(row)}"

    def location(self, row: int) -> str:
        """The location of a row (from 0) in its table."""
        number = self.first + row
        return f"{self.unit} {number + 1 if self.count_lines is None else self._lines[number]}"

    @cached_property
    def _lines(self) -> NDArray[np.int64]:
        assert self.count_lines is not None
        lines = np.fromiter(self.count_lines(), np.int64)
        if len(lines) < self.first + self.count:
            raise ValueError(f"{self.where}: was changed while it was being read; try again once it is complete")
        return lines


@dataclass(frozen=True)
class TableRows:
    """Some columns of a table.

    Attributes:
        where, unit, count_lines, first: see `RowLocations`.
        columns: the columns. As rows they are texts, and floats where numbers were asked for.
        decimal: the decimal mark of numbers in it.
    """

    where: str
    unit: str
    columns: Sequence[Column]
    count_lines: Callable[[], Iterable[int]] | None = None
    decimal: str = "."
    first: int = 0

    @classmethod
    def joined(cls, parts: Iterable["TableRows"], advance: Callable[[float], None] = lambda _: None) -> "TableRows":
        """The parts of a table, at least one, as one; `advance` receives the rows of each as it is read."""
        found: list[TableRows] = []
        for part in parts:
            found.append(part)
            advance(len(part))
        if len(found) == 1:
            return found[0]
        columns: list[Column] = []
        for pieces in zip(*(part.columns for part in found), strict=True):
            texts = [piece for piece in pieces if isinstance(piece, TextColumn)]
            numbers = [piece for piece in pieces if isinstance(piece, NumberColumn)]
            columns.append(TextColumn.joined(texts) if texts else NumberColumn.joined(numbers))
        return replace(found[0], columns=columns)

    @cached_property
    def locations(self) -> RowLocations:
        """Where the rows are."""
        return RowLocations(self.where, self.unit, len(self), self.count_lines, self.first)

    def full_location(self, row: int) -> str:
        """The table and location of a row (from 0), for messages."""
        return self.locations.full_location(row)

    def __len__(self) -> int:
        return len(self.columns[0])

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return zip(*self.columns, strict=True)
