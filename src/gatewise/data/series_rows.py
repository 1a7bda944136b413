"""Rows of tables of time series, in memory or in files that are mapped into memory."""

from collections.abc import Callable, Sequence
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
from gatewise.data.stamp_reader import LAST_STAMPS, STAMPS, OtherFormError, StampReader, TimeTexts, text_at
from gatewise.data.table_columns import NumberColumn, RowLocations, TableRows, TextColumn
from gatewise.data.time_stamps import Stamps, TimeForm

# The sum of any number of these is finite.
_LARGEST = 1e290
_TRUTH = {"true": 1.0, "false": 0.0}

Numbers = np.ndarray[Any, np.dtype[np.float64]]
Integers = np.ndarray[Any, np.dtype[np.int64]]
Codes = np.ndarray[Any, np.dtype[np.int32]]

_SERIES, _VALUES, _COVARIATES = "series", "values", "covariates"


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
    stamps = StampReader(times, columns, form)
    try:
        return _read(tables, columns, stamps, make_folder)
    except OtherFormError:
        form = TimeForm.of_all(TimeTexts(tables, stamps), columns.time_format, columns.time_zone)
        return _read(tables, columns, StampReader(times, columns, form), make_folder)


def _read(
    tables: Sequence[Table],
    columns: Columns,
    stamps: StampReader,
    make_folder: Callable[[], Path] | None,
) -> Rows:
    labels = [*stamps.names, *([columns.series] if columns.series else []), *columns.categorical]
    numeric = (*columns.values, *columns.covariates)
    collected: RowCollector | None = None
    series, categories = _Numbering(), [_Numbering() for _ in columns.categorical]
    locations: list[RowLocations] = []
    for table in tables:
        for number, part in enumerate(table.parts([*labels, *numeric], numeric)):
            row: dict[str, NDArray[Any]] = dict(stamps.read(part)) if stamps.names else {}
            if columns.series:
                row[_SERIES] = series.codes(text_at(part, len(stamps.names)))
            row |= _numbers_of(part, len(labels), columns, categories)
            if collected is None:
                fields = {name: Field(array.dtype, array.shape[1:]) for name, array in row.items()}
                collected = RowCollector(fields, make_folder)
            collected.append(**row)
            if number == 0:
                locations.append(part.locations)
            else:
                locations[-1] = replace(locations[-1], count=locations[-1].count + len(part))
    stamps.check()
    assert collected is not None
    rows = collected.finish()
    arrays = {name: rows.items(name) for name in rows.fields}
    if not stamps.form.counts:
        arrays |= {name: arrays[name].view("M8[us]") for name in (STAMPS, LAST_STAMPS) if name in arrays}
    ordered = [numbering.ordered() for numbering in categories]
    return Rows(
        locations,
        arrays.get(STAMPS),
        arrays.get(LAST_STAMPS),
        stamps.form,
        series.names,
        arrays.get(_SERIES),
        arrays[_VALUES],
        arrays[_COVARIATES],
        tuple(values for values, _ in ordered),
        tuple(indices for _, indices in ordered),
    )


def _numbers_of(
    part: TableRows, first: int, columns: Columns, categories: Sequence[_Numbering]
) -> dict[str, NDArray[np.float64]]:
    """The values (n, V) and covariates (n, C + Q) of rows, whose columns from the first on have the numbers."""
    split, numeric = len(columns.values), (*columns.values, *columns.covariates)
    numbers = np.empty((len(part), len(numeric) + len(categories)))
    for column, name in enumerate(numeric):
        numbers[:, column] = _numbers(part.columns[first + column], part, name, missing=column < split)
    for column, numbering in enumerate(categories):
        numbers[:, len(numeric) + column] = numbering.codes(text_at(part, first - len(categories) + column))
    return {_VALUES: numbers[:, :split], _COVARIATES: numbers[:, split:]}


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
