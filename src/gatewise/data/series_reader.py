"""Reads time series from tables: rows to series on a grid of equal steps."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gatewise.data.grid_inference import infer_grid
from gatewise.data.mapped import Mapped
from gatewise.data.row_collector import RowCollector
from gatewise.data.row_groups import rows_by_group
from gatewise.data.row_store import Field
from gatewise.data.series import Series, SeriesCollector, SeriesSet, last_known, series_name
from gatewise.data.series_columns import ROW, Columns
from gatewise.data.series_rows import Rows, read_rows
from gatewise.data.series_tables import Table
from gatewise.data.time_grid import Integers, TimeGrid
from gatewise.data.time_stamps import Stamps
from gatewise.data.time_zones import in_order, to_local


def read_series(
    tables: Sequence[Table],
    columns: Columns,
    grid: TimeGrid | None = None,
    make_folder: Callable[[], Path] | None = None,
) -> SeriesSet:
    """The series in tables.

    Rows may come in any order, and rows of time steps may be missing: what is put right is noted. All tables together
    may be larger than memory, but not a single series.

    Args:
        tables: which have the same columns.
        columns: which column is what.
        grid: the grid that the stamps must lie on; by default that which they suggest.
        make_folder: makes an empty folder, whenever it is called, for files of what is too much for memory; by default
            all is kept in memory.

    Raises:
        ValueError: for something that is not a number or a time stamp, two different rows of one step, irregular time
            stamps, or no value at all; with the location.
        OSError: when a file cannot be read, or a folder written to.
    """
    notes = _Notes()
    columns = columns.resolved(tables[0], lambda message: notes.add(message, tables[0].where))
    rows = read_rows(tables, columns, grid.form if grid is not None and columns.time != ROW else None, make_folder)
    if grid is None and rows.form.is_date_number:
        notes.add(
            f"numbers of column {columns.time!r} are read as dates ({rows.form.expected}); "
            "give --time-format number where they are only numbers",
            tables[0].where,
        )
    try:
        found, grid = _sorted_on_grid(rows, columns, grid, notes, make_folder)
    except ValueError as error:
        where = tables[0].where if len(tables) == 1 else f"the {len(tables)} tables together"
        raise ValueError(f"{where}: {error}") from None
    if not found:
        raise ValueError(f"{tables[0].where}: there are no values in {', '.join(map(repr, columns.values))}")
    return SeriesSet(grid, found, columns, rows.categories, notes.lines)


def _sorted_on_grid(
    rows: Rows,
    columns: Columns,
    grid: TimeGrid | None,
    notes: "_Notes",
    make_folder: Callable[[], Path] | None,
) -> tuple[Sequence[Series], TimeGrid]:
    """The series of rows, and their grid; in three passes, each over one series after the other."""
    in_time = RowCollector(
        {"rows": Field("int64"), "stamps": Field("int64" if rows.has_dates else "float64")}, make_folder
    )
    if rows.series is None:
        names, groups = [""], [np.arange(len(rows.values))]
    else:
        names, groups = rows.names, rows_by_group(rows.series, len(rows.names), make_folder)
    for name, positions in zip(names, groups, strict=True):
        positions, stamps = _in_order(name, positions, rows, notes)
        in_time.append(rows=positions, stamps=stamps.astype(np.int64) if rows.has_dates else stamps)
    store = in_time.finish()

    def stamps_of(index: int) -> Stamps:
        found = store.row("stamps", index)
        return found.view("M8[us]") if rows.has_dates else found

    if grid is None:
        grid = infer_grid(Mapped(range(len(names)), stamps_of), rows.form)
    series = SeriesCollector(len(rows.tables), rows.covariates.shape[1], make_folder)
    for index, name in enumerate(names):
        for one in _on_grid(name, rows, store.row("rows", index), stamps_of(index), grid, columns.values, notes):
            series.append(one)
    return series.finish(), grid


@dataclass
class _Notes:
    """What was put right, each kind once however many series it was found in."""

    _found: dict[str, dict[str, None]] = field(default_factory=dict)

    def add(self, kind: str, name: str) -> None:
        self._found.setdefault(kind, {})[name] = None

    @property
    def lines(self) -> tuple[str, ...]:
        return tuple(
            f"{next(iter(names)) or 'the data'}{f' and {len(names) - 1} more series' if len(names) > 1 else ''}: {kind}"
            for kind, names in self._found.items()
        )


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
) -> Iterator[Series]:
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
    covariates[steps] = rows.covariates_at(positions)
    filled = last_known(covariates)
    table = rows.table_of(positions)
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
        yield Series(full, first + begin, values, filled[begin:], sources)


def _steps_of(steps: Integers, length: int) -> tuple[int, int]:
    """The first of some steps of a series of a length, and the step after the last."""
    there = steps[(steps >= 0) & (steps < length)]
    return (int(there[0]), int(there[-1]) + 1) if len(there) else (length, length)


def _local_hint(rows: Rows) -> str:
    has_clock = not rows.form.counts and rows.form.zone is None and not rows.form.zoned
    return "; if it is the hour that comes twice in local time, give --time-zone" if has_clock else ""


def _of(name: str) -> str:
    return f"series {name!r}: " if name else ""
