"""Time series on a grid of equal steps."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from gatewise.data.mapped import Mapped
from gatewise.data.row_collector import RowCollector
from gatewise.data.row_store import Field
from gatewise.data.series_columns import Columns
from gatewise.data.series_rows import Numbers
from gatewise.data.time_grid import Integers, TimeGrid


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
        series: the series, whose numbers are in memory or mapped from files.
        columns: where they stood.
        categories: the values of each categorical column, in order.
        notes: what was put right in them, or may surprise, a line each.
    """

    grid: TimeGrid
    series: Sequence[Series]
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


class SeriesCollector:
    """Collects series, in memory or, where they are many, in files.

    Args:
        tables: the number of tables that were read.
        covariates: C.
        make_folder: see `RowCollector`.
    """

    def __init__(self, tables: int, covariates: int, make_folder: Callable[[], Path] | None = None) -> None:
        self._names: list[str] = []
        fields = {
            "first": Field("int64", ragged=False),
            "values": Field("float64"),
            "covariates": Field("float64", (covariates,)),
            "sources": Field("int64", (tables, 2), ragged=False),
        }
        self._collected = RowCollector(fields, make_folder)

    def append(self, one: Series) -> None:
        """Add a series.

        Raises:
            OSError: when a file cannot be written.
        """
        self._names.append(one.name)
        self._collected.append(
            first=one.first, values=one.values, covariates=one.covariates, sources=np.array(one.sources)
        )

    def finish(self) -> Sequence[Series]:
        """The series, each read when it is asked for."""
        store = self._collected.finish()
        firsts, sources = store.column("first"), store.column("sources")

        def series(index: int) -> Series:
            return Series(
                self._names[index],
                int(firsts[index]),
                store.row("values", index),
                store.row("covariates", index),
                tuple((begin, end) for begin, end in sources[index].tolist()),
            )

        return Mapped(range(len(self._names)), series)


def series_name(name: str, column: str, columns: int) -> str:
    """What a series is called: by what the series column says, the column of its values, or both.

    >>> series_name("", "price", 2), series_name("A", "price", 1), series_name("A", "price", 2)
    ('price', 'A', 'A/price')
    """
    return column if not name else name if columns == 1 else f"{name}/{column}"


def last_known(values: Numbers) -> Numbers:
    """With what is missing replaced by what came last; (n, C) or (n,), the first of which is there."""
    positions = np.arange(len(values)).reshape(-1, *[1] * (values.ndim - 1))
    last = np.maximum.accumulate(np.where(np.isnan(values), 0, positions), 0)
    return np.take_along_axis(values, last, 0)
