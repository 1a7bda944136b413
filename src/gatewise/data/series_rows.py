"""Rows of tables of time series: which column is what, and what is in them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gatewise.data.cells import separator_hint
from gatewise.data.numerals import comma_hint
from gatewise.data.series_tables import Table
from gatewise.data.table_columns import NumberColumn, TableRows, TextColumn
from gatewise.data.time_parts import joined_parts, part_names
from gatewise.data.time_stamps import NUMBER, Stamps, TimeForm
from gatewise.data.time_zones import missing_in, to_utc
from gatewise.data.unnamed_columns import data_columns, is_unnamed

ROW = "row"
"""In place of the name of a time column: rows are steps, in their order."""

_TIME_NAMES = ("time", "date", "datetime", "timestamp", "ds", "year", "quarter", "month", "week", "day", "hour")
# The sum of any number of these is finite.
_LARGEST = 1e290
_TRUTH = {"true": 1.0, "false": 0.0}

Numbers = np.ndarray[Any, np.dtype[np.float64]]
Integers = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Columns:
    """Which column is what; None or empty to infer it from a table.

    Attributes:
        time: the time stamps, or `ROW`; several columns with commas between them, see `joined_parts`.
        series: says which series a row belongs to; None where each column of values is a series.
        values: what is to be forecast.
        covariates: numbers that are known of the future too.
        time_format: of the stamps, as in `datetime.strptime`; by default ISO 8601.
        time_zone: of stamps without a distance from UTC.
        categorical: texts, or numbers that are only names, that are known of the future too.
    """

    time: str | None = None
    series: str | None = None
    values: tuple[str, ...] = ()
    covariates: tuple[str, ...] = ()
    time_format: str | None = None
    time_zone: str | None = None
    categorical: tuple[str, ...] = ()

    def time_columns(self, names: Sequence[str]) -> tuple[str, ...]:
        """The columns of the time stamps in a table whose columns have these names; none where rows are steps."""
        return () if self.time is None or self.time == ROW else part_names(self.time, names)

    def resolved(self, table: Table, notify: Callable[[str], None]) -> "Columns":
        """With the columns that a table has.

        Args:
            table: the table.
            notify: receives notices.

        Raises:
            ValueError: when they cannot be inferred.
        """
        time, values = self.time, self.values
        if time is None:
            time = _time_column(table, self.time_format, notify)
            form = TimeForm.of(time, self.time_format)
            if form is not None and not form.counts:
                raise ValueError(
                    f"{table.where}: the first line has a time stamp, {time!r}, not names of columns; add a line of "
                    "names, or give columns by number (--time-column 1 --value-columns 2)"
                )
        if not values:
            names = table.names()
            times = replace(self, time=time).time_columns(names)
            taken = [name for name in (*times, self.series, *self.covariates, *self.categorical) if name is not None]

            def cells(position: int) -> list[str]:
                return [cell for (cell,) in table.rows([position])]

            values = tuple(data_columns(table.where, names, taken, cells, notify))
            if not values:
                raise ValueError(f"{table.where}: no column of values beside {', '.join(map(repr, taken))}")
        named = [*values, *self.covariates, *self.categorical, *filter(None, (time, self.series))]
        twice = next((name for name in named if named.count(name) > 1), None)
        if twice is not None and (twice != self.series or twice not in self.categorical or named.count(twice) > 2):
            raise ValueError(
                f"column {twice!r} is named twice; a column is time, series, value, covariate or categorical (the "
                "series column may be categorical too)"
            )
        return replace(self, time=time, values=values)


@dataclass(frozen=True)
class Rows:
    """R rows of one or several tables.

    Attributes:
        tables: the tables, one after the other.
        stamps: (R,), None where rows are steps.
        last_stamps: (R,), where stamps are local times: the same, but where such a time comes twice, its second one.
        form: how they are written.
        names: of the series.
        series: (R,) int64, which of these each row belongs to; None where they do not say.
        values: (R, V) float64, NaN where missing.
        covariates: (R, C + Q) float64; categorical ones as indices into `categories`.
        categories: the values of each of the Q categorical columns, in order.
    """

    tables: list[TableRows]
    stamps: Stamps | None
    last_stamps: Stamps | None
    form: TimeForm
    names: list[str]
    series: Integers | None
    values: Numbers
    covariates: Numbers
    categories: tuple[tuple[str, ...], ...]

    def location(self, row: int) -> str:
        """The location of a row, for messages: its line, with its file where there are several."""
        for table in self.tables:
            if row < len(table):
                return table.location(row) if len(self.tables) == 1 else table.full_location(row)
            row -= len(table)
        raise IndexError(row)

    def table_of(self, rows: Integers) -> Integers:
        """The numbers of the tables that rows, by number, are in."""
        return np.searchsorted(np.cumsum([len(table) for table in self.tables]), rows, side="right")


def read_rows(tables: Sequence[Table], columns: Columns, form: TimeForm | None = None) -> Rows:
    """The rows of tables that have the same (resolved) columns.

    Args:
        tables: the tables.
        columns: which column is what.
        form: how time stamps are written; by default as they suggest.

    Raises:
        ValueError: when a column is missing, or something is not a valid time stamp or number; with the location.
        OSError: when a file cannot be read.
    """
    times = columns.time_columns(tables[0].names() if "," in (columns.time or "") else ())
    labels = [*times, *([columns.series] if columns.series else []), *columns.categorical]
    numeric = (*columns.values, *columns.covariates)
    found = [table.rows([*labels, *numeric], numeric) for table in tables]
    form, stamps, last_stamps = _stamps(found, times, columns, form)
    names, series = _values_of([_text(rows, len(times)) for rows in found]) if columns.series else ([], None)
    numbers = np.empty((sum(map(len, found)), len(numeric) + len(columns.categorical)))
    begin = 0
    for rows in found:
        for index, name in enumerate(numeric):
            cells, missing = rows.columns[len(labels) + index], name in columns.values
            numbers[begin : begin + len(rows), index] = _numbers(cells, rows, name, missing=missing)
        begin += len(rows)
    categories: list[tuple[str, ...]] = []
    for index in range(len(columns.categorical)):
        position = len(labels) - len(columns.categorical) + index
        found_names, codes = _values_of([_text(rows, position) for rows in found])
        ordered = sorted(found_names)
        numbers[:, len(numeric) + index] = np.searchsorted(ordered, found_names)[codes]
        categories.append(tuple(ordered))
    split = len(columns.values)
    return Rows(
        found, stamps, last_stamps, form, names, series, numbers[:, :split], numbers[:, split:], tuple(categories)
    )


def _stamps(
    tables: Sequence[TableRows], names: Sequence[str], columns: Columns, form: TimeForm | None
) -> tuple[TimeForm, Stamps | None, Stamps | None]:
    """The form of the time stamps of tables, whose first columns have them, and the stamps, see `Rows`."""
    if not names:
        return TimeForm(NUMBER), None, None
    title = f"column {names[0]!r}" if len(names) == 1 else f"columns {', '.join(map(repr, names))}"
    texts = [_text(rows, 0) for rows in tables]
    if len(names) > 1:
        parts = [[_text(rows, position) for position in range(len(names))] for rows in tables]
        texts = [joined_parts(names, of_table, columns.time_format) for of_table in parts]
    if form is not None:
        form = form.like(texts[0][0])
    else:
        form = TimeForm.of_all(TextColumn.joined(texts), columns.time_format, columns.time_zone)
        if form is None:
            raise ValueError(
                f"{tables[0].full_location(0)}: {title}: {texts[0][0]!r} is not a valid time stamp; expected ISO 8601 "
                "(2020-05-31 06:00) or a number, or name the form with --time-format, such as %d/%m/%Y"
            )
    read: list[Stamps] = []
    last: list[Stamps] = []
    for rows, part in zip(tables, texts, strict=True):
        stamps = form.read(part, lambda row, rows=rows: f"{rows.full_location(row)}: {title}")
        if form.is_local:
            assert form.zone is not None
            missing = missing_in(stamps, form.zone)
            if missing.any():
                row = int(missing.argmax())
                raise ValueError(
                    f"{rows.full_location(row)}: {title}: {part[row]!r} does not exist in {form.zone}, where clocks "
                    "are put forward over it; write stamps in UTC, or name the right --time-zone"
                )
            stamps, second = to_utc(stamps, form.zone)
            last.append(second)
        read.append(stamps)
    return form, np.concatenate(read), np.concatenate(last) if last else None


def _text(rows: TableRows, position: int) -> TextColumn:
    column = rows.columns[position]
    assert isinstance(column, TextColumn)
    return column


def _values_of(columns: Sequence[TextColumn]) -> tuple[list[str], Integers]:
    """The values of a column in all tables, and which of them each row has."""
    numbers: dict[str, int] = {}
    parts: list[Integers] = []
    for column in columns:
        names, codes = column.codes()
        parts.append(np.array([numbers.setdefault(name, len(numbers)) for name in names], np.int64)[codes])
    return list(numbers), np.concatenate(parts)


def _time_column(table: Table, form: str | None, notify: Callable[[str], None]) -> str:
    names = table.names()
    named = [name for name in names if name.strip().lower() in _TIME_NAMES]
    if named:
        return named[0]
    # By index: there may be several columns without a name.
    first = next(iter(table.rows(range(len(names)))))
    for position, (name, value) in enumerate(zip(names, first, strict=True), 1):
        unnamed = is_unnamed(name)
        found = TimeForm.of(value, form)
        if found is not None and found.counts and unnamed:
            # No option can name it, so numbers are asked too whether they are dates.
            found = TimeForm.of_all([cell for (cell,) in table.rows([position - 1])], form)
        if found is not None and not found.counts:
            if unnamed:
                notify(f"column {position} has no name of its own and holds time stamps; it is the time column")
            return name
    nameless = "; a column without a name needs one first" if any(map(is_unnamed, names)) else ""
    raise ValueError(
        f"{table.where}: found no column of time stamps among {', '.join(map(repr, names[:20]))}{separator_hint(names)}"
        f"; name it with --time-column, or give --time-column {ROW} where rows are in order of time{nameless}"
    )


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
