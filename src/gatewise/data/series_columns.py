"""Which column of tables of time series is what."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from gatewise.data.cells import separator_hint
from gatewise.data.series_tables import Cells, Table
from gatewise.data.time_parts import part_names
from gatewise.data.time_stamps import TimeForm
from gatewise.data.unnamed_columns import data_columns, is_unnamed

ROW = "row"
"""In place of the name of a time column: rows are steps, in their order."""

_TIME_NAMES = ("time", "date", "datetime", "timestamp", "ds", "year", "quarter", "month", "week", "day", "hour")


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

            values = tuple(data_columns(table.where, names, taken, partial(Cells, table), notify))
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


def _time_column(table: Table, form: str | None, notify: Callable[[str], None]) -> str:
    names = table.names()
    named = [name for name in names if name.strip().lower() in _TIME_NAMES]
    if named:
        return named[0]
    # By index: there may be several columns without a name.
    first = next(iter(next(iter(table.parts(range(len(names)))))))
    for position, (name, value) in enumerate(zip(names, first, strict=True), 1):
        unnamed = is_unnamed(name)
        found = TimeForm.of(value, form)
        if found is not None and found.counts and unnamed:
            # No option can name it, so numbers are asked too whether they are dates.
            found = TimeForm.of_all(Cells(table, position - 1), form)
        if found is not None and not found.counts:
            if unnamed:
                notify(f"column {position} has no name of its own and holds time stamps; it is the time column")
            return name
    nameless = "; a column without a name needs one first" if any(map(is_unnamed, names)) else ""
    raise ValueError(
        f"{table.where}: found no column of time stamps among {', '.join(map(repr, names[:20]))}{separator_hint(names)}"
        f"; name it with --time-column, or give --time-column {ROW} where rows are in order of time{nameless}"
    )
