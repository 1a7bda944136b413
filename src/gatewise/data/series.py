"""Time series on a grid of equal steps."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from gatewise.data.series_rows import ROW, Columns, Numbers, Rows, read_rows
from gatewise.data.series_tables import Table
from gatewise.data.time_grid import Integers, TimeGrid
from gatewise.data.time_stamps import Stamps
from gatewise.data.time_zones import in_order, to_local


@dataclass(frozen=True)
class Series:
    """One series, from its first value to its last.

    Attributes:
        name: of the series.
        first: the number of its first step on the grid.
        values: (n,) float64, NaN where missing; the first and the last are there.
        covariates: (m, C) float64, m ≥ n: those of the future are at the end. See `Rows` for categorical ones.
        sources: for each table that was read, the step of its first row here and the step after its last; a table
            without any has the same number twice.
    """

    name: str
    first: int
    values: Numbers
    covariates: Numbers
    sources: tuple[tuple[int, int], ...] = ()

    def __len__(self) -> int:
        return len(self.values)

    def until(self, end: int) -> "Series":
        """Its first steps, and nothing of what comes after but the covariates."""
        return replace(self, values=self.values[:end])

    def numbers(self, begin: int, end: int) -> Integers:
        """The numbers of its steps on the grid."""
        return np.arange(self.first + begin, self.first + end, dtype=np.int64)


@dataclass(frozen=True)
class SeriesSet:
    """Series on one grid.

    Attributes:
        grid: what their time stamps lie on.
        series: the series.
        columns: where they stood.
        categories: the values of each categorical column, in order.
        notes: what was put right in them, or may surprise, a line each.
    """

    grid: TimeGrid
    series: list[Series]
    columns: Columns
    categories: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]

    @property
    def sha256(self) -> str:
        """Of all names, positions, values and covariates."""
        digest = hashlib.sha256(repr(self.categories).encode() if self.categories else b"")
        for one in self.series:
            digest.update(f"{one.name}\0{one.first}\0{one.covariates.shape}".encode())
            digest.update(one.values.astype("<f8").tobytes() + one.covariates.astype("<f8").tobytes())
        return digest.hexdigest()


def read_series(tables: Sequence[Table], columns: Columns, grid: TimeGrid | None = None) -> SeriesSet:
    """The series in tables.

    Rows may come in any order, and rows of time steps may be missing: what is put right is noted.

    Args:
        tables: which have the same columns.
        columns: which column is what.
        grid: the grid that the stamps must lie on; by default that which they suggest.

    Raises:
        ValueError: for something that is not a number or a time stamp, two different rows of one step, irregular time
            stamps, or no value at all; with the location.
        OSError: when a file cannot be read.
    """
    notes = _Notes()
    columns = columns.resolved(tables[0], lambda message: notes.add(message, tables[0].where))
    rows = read_rows(tables, columns, grid.form if grid is not None and columns.time != ROW else None)
    if grid is None and rows.form.is_date_number:
        notes.add(
            f"numbers of column {columns.time!r} are read as dates ({rows.form.expected}); "
            "give --time-format number where they are only numbers",
            tables[0].where,
        )
    try:
        found, grid = _sorted_on_grid(rows, columns, grid, notes)
    except ValueError as error:
        where = tables[0].where if len(tables) == 1 else f"the {len(tables)} tables together"
        raise ValueError(f"{where}: {error}") from None
    if not found:
        raise ValueError(f"{tables[0].where}: there are no values in {', '.join(map(repr, columns.values))}")
    return SeriesSet(grid, found, columns, rows.categories, notes.lines)


def _sorted_on_grid(
    rows: Rows, columns: Columns, grid: TimeGrid | None, notes: "_Notes"
) -> tuple[list[Series], TimeGrid]:
    sorted_rows: dict[str, tuple[Integers, Stamps]] = {
        name: _in_order(name, positions, rows, notes) for name, positions in _rows_by_series(rows).items()
    }
    if grid is None:
        grid = TimeGrid.infer([stamps for _, stamps in sorted_rows.values()], rows.form)
    found: list[Series] = []
    for name, (positions, stamps) in sorted_rows.items():
        found += _on_grid(name, rows, positions, stamps, grid, columns.values, notes)
    return found, grid


def series_name(name: str, column: str, columns: int) -> str:
    """What a series is called: by what the series column says, the column of its values, or both.

    >>> series_name("", "price", 2), series_name("A", "price", 1), series_name("A", "price", 2)
    ('price', 'A', 'A/price')
    """
    return column if not name else name if columns == 1 else f"{name}/{column}"


@dataclass
class _Notes:
    """What was put right, each kind once however many series it was found in."""

    _found: dict[str, list[str]] = field(default_factory=dict)

    def add(self, kind: str, name: str) -> None:
        names = self._found.setdefault(kind, [])
        if name not in names:
            names.append(name)

    @property
    def lines(self) -> tuple[str, ...]:
        return tuple(
            f"{names[0] or 'the data'}{f' and {len(names) - 1} more series' if len(names) > 1 else ''}: {kind}"
            for kind, names in self._found.items()
        )


def _rows_by_series(rows: Rows) -> dict[str, Integers]:
    if rows.series is None:
        return {"": np.arange(len(rows.values))}
    order = np.argsort(rows.series, kind="stable")
    ends = np.cumsum(np.bincount(rows.series, minlength=len(rows.names)))
    return dict(zip(rows.names, np.split(order, ends[:-1]), strict=True))


def _in_order(name: str, positions: Integers, rows: Rows, notes: _Notes) -> tuple[Integers, Stamps]:
    """The rows of a series in the order of time, each step once."""
    if rows.stamps is None:
        return positions, np.arange(1.0, len(positions) + 1)
    stamps = rows.stamps[positions]
    if rows.last_stamps is not None:
        stamps, unknown = in_order(stamps, rows.last_stamps[positions])
        if unknown is not None:
            first = rows.stamps[positions][unknown]
            zone = rows.form.zone
            assert zone is not None
            local = str(to_local(np.array([first]), zone)[0])[:16].replace("T", " ")
            raise ValueError(
                f"{_of(name)}{rows.location(int(positions[unknown]))}: the local time {local} comes twice in {zone}, "
                "and the order of rows does not say which one this is: expected the rows of the first hour, then "
                f"those of the second; write stamps with their distance from UTC ({rows.form.write(first)}), or in UTC"
            )
    if (np.diff(stamps) < np.zeros(1, np.diff(stamps).dtype)).any():
        notes.add("rows were not in the order of time; sorted", name)
        order = np.argsort(stamps, kind="stable")
        positions, stamps = positions[order], stamps[order]
    again = np.flatnonzero(stamps[1:] == stamps[:-1])
    for index in again:
        one, other = positions[index], positions[index + 1]
        for part in (rows.values, rows.covariates):
            if not np.array_equal(part[one], part[other], equal_nan=True):
                raise ValueError(
                    f"{_of(name)}{rows.location(one)} and {rows.location(other)} have the same time stamp "
                    f"{rows.form.write(stamps[index])} and different numbers; keep one of them, "
                    "or name with --series-column what tells series apart"
                    f"{_local_hint(rows)}"
                )
    if len(again):
        notes.add("rows that stood there twice were read once", name)
    keep = np.ones(len(positions), bool)
    keep[again + 1] = False
    return positions[keep], stamps[keep]


def _on_grid(
    name: str,
    rows: Rows,
    positions: Integers,
    stamps: Stamps,
    grid: TimeGrid,
    columns: Sequence[str],
    notes: _Notes,
) -> list[Series]:
    numbers, on_grid = grid.numbers(stamps)
    if not on_grid.all():
        wrong = int(np.argmin(on_grid))
        where = rows.location(int(positions[wrong]))
        raise ValueError(
            f"{_of(name)}{where}: the time stamp {rows.form.describe(stamps[wrong])} is not on the grid of the others, "
            f"a step of which is {grid.title}"
        )
    first, count = int(numbers[0]), int(numbers[-1] - numbers[0]) + 1
    if count > len(numbers):
        notes.add("steps without a row were taken for missing values", name)
    steps = numbers - first
    covariates = np.full((count, rows.covariates.shape[1]), np.nan)
    covariates[steps] = rows.covariates[positions]
    filled = last_known(covariates)
    table = rows.table_of(positions)
    found: list[Series] = []
    for column, title in enumerate(columns):
        full = series_name(name, title, len(columns))
        values = np.full(count, np.nan)
        values[steps] = rows.values[positions, column]
        known = np.flatnonzero(~np.isnan(values))
        if not len(known):
            notes.add("no values; skipped", full)
            continue
        begin, end = int(known[0]), int(known[-1]) + 1
        values = values[begin:end]
        if np.isnan(values).any():
            notes.add("missing values, which the network sees as such", full)
        if len(known) > 1 and np.ptp(values[~np.isnan(values)]) == 0:
            notes.add(f"the value never changes ({values[0]:g}); the forecast will be that", full)
        sources = tuple(_steps_of(steps[table == one] - begin, len(values)) for one in range(len(rows.tables)))
        found.append(Series(full, first + begin, values, filled[begin:], sources))
    return found


def _steps_of(steps: Integers, length: int) -> tuple[int, int]:
    """The first of some steps of a series of a length, and the step after the last."""
    there = steps[(steps >= 0) & (steps < length)]
    return (int(there[0]), int(there[-1]) + 1) if len(there) else (length, length)


def _local_hint(rows: Rows) -> str:
    has_clock = not rows.form.counts and rows.form.zone is None and not rows.form.zoned
    return "; if it is the hour that comes twice in local time, give --time-zone" if has_clock else ""


def _of(name: str) -> str:
    return f"series {name!r}: " if name else ""


def last_known(values: Numbers) -> Numbers:
    """With what is missing replaced by what came last; (n, C) or (n,), the first of which is there."""
    positions = np.arange(len(values)).reshape(-1, *[1] * (values.ndim - 1))
    last = np.maximum.accumulate(np.where(np.isnan(values), 0, positions), 0)
    return np.take_along_axis(values, last, 0)


__all__ = ["ROW", "Columns", "Series", "SeriesSet", "last_known", "read_series", "series_name"]
