"""Rows of tables of time series, in memory or in files that are mapped into memory."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatewise.data.numerals import comma_hint
from gatewise.data.row_collector import RowCollector
from gatewise.data.row_store import Field
from gatewise.data.series_columns import Columns
from gatewise.data.series_tables import Table
from gatewise.data.table_columns import NumberColumn, RowLocations, TableRows, TextColumn
from gatewise.data.time_parts import joined_parts
from gatewise.data.time_stamps import NUMBER, Stamps, TimeForm
from gatewise.data.time_zones import missing_in, to_utc

# The sum of any number of these is finite.
_LARGEST = 1e290
_TRUTH = {"true": 1.0, "false": 0.0}

Numbers = np.ndarray[Any, np.dtype[np.float64]]
Integers = np.ndarray[Any, np.dtype[np.int64]]
Codes = np.ndarray[Any, np.dtype[np.int32]]

_STAMPS, _LAST, _SERIES, _VALUES, _COVARIATES = "stamps", "last_stamps", "series", "values", "covariates"


@dataclass(frozen=True)
class Rows:
    """R rows of one or several tables, in memory or mapped from files.

    Attributes:
        tables: where the rows of each table are, one after the other.
        stamps: (R,), None where rows are steps.
        last_stamps: (R,), where stamps are local times: the same, but where such a time comes twice, its second one.
        form: how they are written.
        names: of the series.
        series: (R,) int32, which of these each row belongs to; None where they do not say.
        values: (R, V) float64, NaN where missing.
        covariates: (R, C + Q) float64; categorical ones as numbers, see `covariates_at`.
        categories: the values of each of the Q categorical columns, in order.
        numbered: (Q, …), which of these each number of a categorical column stands for.
    """

    tables: list[RowLocations]
    stamps: Stamps | None
    last_stamps: Stamps | None
    form: TimeForm
    names: list[str]
    series: Codes | None
    values: Numbers
    covariates: Numbers
    categories: tuple[tuple[str, ...], ...]
    numbered: tuple[Integers, ...]

    @property
    def has_dates(self) -> bool:
        """Whether stamps are dates, not numbers."""
        return self.stamps is not None and not self.form.counts

    def covariates_at(self, rows: Integers) -> Numbers:
        """The covariates (n, C + Q) of rows, by number; categorical ones as indices into `categories`."""
        found = self.covariates[rows]
        first = found.shape[1] - len(self.numbered)
        for column, indices in enumerate(self.numbered, first):
            found[:, column] = indices[found[:, column].astype(np.int64)]
        return found

    def location(self, row: int) -> str:
        """The location of a row, for messages: its line, with its file where there are several."""
        for table in self.tables:
            if row < table.count:
                return table.location(row) if len(self.tables) == 1 else table.full_location(row)
            row -= table.count
        raise IndexError(row)

    def table_of(self, rows: Integers) -> Integers:
        """The numbers of the tables that rows, by number, are in."""
        return np.searchsorted(np.cumsum([table.count for table in self.tables]), rows, side="right")


class _Numbering:
    """The different values of a column in the order in which they come, and which of them each row has."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def codes(self, column: TextColumn) -> Codes:
        """The numbers of the values of further rows."""
        names, codes = column.codes()
        numbers = self._numbers
        return np.array([numbers.setdefault(name, len(numbers)) for name in names], np.int32)[codes]

    @property
    def names(self) -> list[str]:
        """The values, by number."""
        return list(self._numbers)

    def ordered(self) -> tuple[tuple[str, ...], Integers]:
        """The values in order, and where in it each number is."""
        ordered = sorted(self._numbers)
        return tuple(ordered), np.searchsorted(ordered, self.names)


def read_rows(
    tables: Sequence[Table],
    columns: Columns,
    form: TimeForm | None = None,
    make_folder: Callable[[], Path] | None = None,
) -> Rows:
    """The rows of tables that have the same (resolved) columns.

    Args:
        tables: the tables.
        columns: which column is what.
        form: how time stamps are written; by default as they suggest.
        make_folder: see `RowCollector`; by default all rows are kept in memory.

    Raises:
        ValueError: when a column is missing, or something is not a valid time stamp or number; with the location.
        OSError: when a file cannot be read, or the folder written to.
    """
    times = columns.time_columns(tables[0].names() if "," in (columns.time or "") else ())
    labels = [*times, *([columns.series] if columns.series else []), *columns.categorical]
    numeric = (*columns.values, *columns.covariates)
    if times:
        form = _form_of(_TimeTexts(tables, times, columns.time_format), columns, form)
    collected: RowCollector | None = None
    series, categories = _Numbering(), [_Numbering() for _ in columns.categorical]
    locations: list[RowLocations] = []
    for table in tables:
        for number, part in enumerate(table.parts([*labels, *numeric], numeric)):
            row: dict[str, NDArray[Any]] = {}
            if times:
                assert form is not None
                row = _stamps(part, times, columns.time_format, form)
            if columns.series:
                row[_SERIES] = series.codes(_text(part, len(times)))
            row |= _numbers_of(part, len(labels), columns, categories)
            if collected is None:
                collected = RowCollector(
                    {name: Field(array.dtype, array.shape[1:]) for name, array in row.items()}, make_folder
                )
            collected.append(**row)
            if number == 0:
                locations.append(part.locations)
            else:
                locations[-1] = replace(locations[-1], count=locations[-1].count + len(part))
    assert collected is not None
    rows = collected.finish()
    ordered = [numbering.ordered() for numbering in categories]
    dates = form is not None and not form.counts

    def stamps(name: str) -> Stamps | None:
        return (rows.items(name).view("M8[us]") if dates else rows.items(name)) if name in rows.fields else None

    return Rows(
        locations,
        stamps(_STAMPS),
        stamps(_LAST),
        form if times and form is not None else TimeForm(NUMBER),
        series.names,
        rows.items(_SERIES) if columns.series else None,
        rows.items(_VALUES),
        rows.items(_COVARIATES),
        tuple(values for values, _ in ordered),
        tuple(indices for _, indices in ordered),
    )


class _TimeTexts:
    """The time stamps of tables as texts, read whenever they are iterated over."""

    def __init__(self, tables: Sequence[Table], names: Sequence[str], form: str | None) -> None:
        self._tables, self.names, self._form = tables, names, form

    def __iter__(self) -> Iterator[str]:
        for table in self._tables:
            for part in table.parts(self.names):
                yield from _time_texts(part, self.names, self._form)

    @property
    def title(self) -> str:
        """What their columns are called in messages."""
        return _title(self.names)

    def location(self) -> str:
        """The location of the first."""
        return next(iter(self._tables[0].parts(self.names))).full_location(0)


def _title(names: Sequence[str]) -> str:
    return f"column {names[0]!r}" if len(names) == 1 else f"columns {', '.join(map(repr, names))}"


def _time_texts(part: TableRows, names: Sequence[str], form: str | None) -> TextColumn:
    texts = [_text(part, position) for position in range(len(names))]
    return texts[0] if len(names) == 1 else joined_parts(names, texts, form)


def _form_of(texts: _TimeTexts, columns: Columns, form: TimeForm | None) -> TimeForm:
    """How time stamps are written."""
    if form is not None:
        return form.like(next(iter(texts)))
    found = TimeForm.of_all(texts, columns.time_format, columns.time_zone)
    if found is None:
        raise ValueError(
            f"{texts.location()}: {texts.title}: {next(iter(texts))!r} is not a valid time stamp; expected ISO 8601 "
            "(2020-05-31 06:00) or a number, or name the form with --time-format, such as %d/%m/%Y"
        )
    return found


def _stamps(part: TableRows, names: Sequence[str], given: str | None, form: TimeForm) -> dict[str, NDArray[Any]]:
    """The time stamps of rows, whose first columns have them, and the last ones of local times; dates as int64."""
    texts, title = _time_texts(part, names, given), _title(names)
    stamps = form.read(texts, lambda row: f"{part.full_location(row)}: {title}")
    if form.counts:
        return {_STAMPS: stamps}
    if not form.is_local:
        return {_STAMPS: stamps.astype("M8[us]").astype(np.int64)}
    assert form.zone is not None
    missing = missing_in(stamps, form.zone)
    if missing.any():
        row = int(missing.argmax())
        raise ValueError(
            f"{part.full_location(row)}: {title}: {texts[row]!r} does not exist in {form.zone}, where clocks are put "
            "forward over it; write stamps in UTC, or name the right --time-zone"
        )
    first, last = to_utc(stamps, form.zone)
    return {_STAMPS: first.astype(np.int64), _LAST: last.astype(np.int64)}


def _numbers_of(
    part: TableRows, first: int, columns: Columns, categories: Sequence[_Numbering]
) -> dict[str, NDArray[np.float64]]:
    """The values (n, V) and covariates (n, C + Q) of rows, whose columns from the first on have the numbers."""
    split, numeric = len(columns.values), (*columns.values, *columns.covariates)
    numbers = np.empty((len(part), len(numeric) + len(categories)))
    for column, name in enumerate(numeric):
        numbers[:, column] = _numbers(part.columns[first + column], part, name, missing=column < split)
    for column, numbering in enumerate(categories):
        numbers[:, len(numeric) + column] = numbering.codes(_text(part, first - len(categories) + column))
    return {_VALUES: numbers[:, :split], _COVARIATES: numbers[:, split:]}


def _text(rows: TableRows, position: int) -> TextColumn:
    column = rows.columns[position]
    assert isinstance(column, TextColumn)
    return column


def _numbers(cells: Any, rows: TableRows, name: str, *, missing: bool) -> Numbers:
    assert isinstance(cells, NumberColumn)
    values = cells.values
    for row, text in cells.texts.items():
        word = text.strip().lower()
        if word not in _TRUTH:
            raise _not_a_number(text, f"{rows.full_location(row)}: column {name!r}", rows.decimal)
        values[row] = _TRUTH[word]
    bad = np.isinf(values) | (np.abs(values) > _LARGEST)
    if bad.any():
        row = int(bad.argmax())
        expected = "a finite number" if np.isinf(values[row]) else f"a number of at most {_LARGEST:g}"
        raise ValueError(f"{rows.full_location(row)}: column {name!r}: expected {expected}, got {values[row]:g}")
    if not missing and np.isnan(values).any():
        row = int(np.isnan(values).argmax())
        raise ValueError(
            f"{rows.full_location(row)}: column {name!r}: a covariate must be known at every step; it is missing"
        )
    return values


def _not_a_number(text: str, where: str, decimal: str) -> ValueError:
    hint = comma_hint(text, decimal) or (
        "; name what is to be forecast with --value-columns, and with --series-column what says which series a row "
        "belongs to"
    )
    return ValueError(f"{where}: expected a number, got {text!r}{hint}")
