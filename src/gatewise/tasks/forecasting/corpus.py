"""The series of a run, and how they are read."""

import dataclasses
import hashlib
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from gatewise.data.mapped import Mapped
from gatewise.data.series import Series, SeriesSet
from gatewise.data.series_columns import Columns
from gatewise.data.series_reader import read_series
from gatewise.data.series_rows import Numbers
from gatewise.data.series_tables import Table, as_tables
from gatewise.data.sunspots import SUNSPOTS
from gatewise.data.time_grid import TimeGrid
from gatewise.data.time_zones import check_zone
from gatewise.tasks import data_cache
from gatewise.tasks.forecasting.batches import Span
from gatewise.tasks.forecasting.options import ForecastOptions
from gatewise.tasks.forecasting.preprocessing import Preprocessing
from gatewise.tasks.forecasting.splits import Ends, Tables, scored_spans, split_all

_MAX_SEASON = 60
_LONGEST_WINDOW = 256
# Of the largest value: float64 has 16 digits.
_COARSE = 1e-13


class Scored(NamedTuple):
    """What is scored of series.

    Attributes:
        series: the series.
        spans: the forecasts, by the part of the data.
        learned: the number of steps of each series that were learned from; None where none were.
    """

    series: Sequence[Series]
    spans: Mapping[str, Sequence[Span]]
    learned: Sequence[int] | None


@dataclass(frozen=True)
class Corpus:
    """The series of a run by their parts in it.

    Attributes:
        source: where they come from, for people.
        sha256: of what was read.
        preprocessing: how they are read.
        series: those that are long enough.
        ends: of the parts of each.
        notes: what was put right, and what may surprise, a line each.
        options: the options, with the defaults that depend on the data.
    """

    source: str
    sha256: str
    preprocessing: Preprocessing
    series: Sequence[Series]
    ends: list[Ends]
    notes: tuple[str, ...]
    options: ForecastOptions

    @property
    def scored(self) -> Scored:
        """What is scored once training has ended."""
        parts = {part: scored_spans(self.ends, self.preprocessing.horizon, part) for part in ("held_out", "test")}
        learned = [end.learned for end in self.ends]
        return Scored(self.series, {part: spans for part, spans in parts.items() if spans}, learned)

    @property
    def hashes(self) -> dict[str, str]:
        """The SHA-256 of what was read, by the option that named it; of tables of parts, of where they begin too."""
        if self.options.valid is None and not isinstance(self.options.test, Path):
            return {"data": self.sha256}
        return {
            "data": self.sha256,
            "parts": hashlib.sha256(repr([tuple(end) for end in self.ends]).encode()).hexdigest(),
        }


def read_corpus(options: ForecastOptions) -> Corpus:
    """Read the series that the options name, and settle what the options leave open.

    Series that are too many for memory are in files of the cache, see `read_mapped`.

    Raises:
        ValueError: for bad data, or series too short for the horizon.
        OSError: for a file that cannot be read.
    """
    if options.time_zone is not None:
        check_zone(options.time_zone)
    columns = Columns(
        options.time_column,
        options.series_column,
        options.value_columns,
        options.covariate_columns,
        options.time_format,
        options.time_zone,
        options.categorical,
    )
    parts: dict[str, Sequence[Path]] = {
        "data": options.data or [SUNSPOTS],
        "valid": [] if options.valid is None else [options.valid],
        "test": [options.test] if isinstance(options.test, Path) else [],
    }
    source = ", ".join(str(path) for path in options.data) or "monthly sunspot numbers, 1749 to 1983"
    source += "".join(f"; {name}: {paths[0]}" for name, paths in parts.items() if name != "data" and paths)
    tables = [as_tables(paths, options.table_format) if paths else [] for paths in parts.values()]
    data = read_mapped([table for of_part in tables for table in of_part], columns)
    return _resolved(options, data, Tables(*map(len, tables)), source)


def read_mapped(tables: Sequence[Table], columns: Columns, grid: TimeGrid | None = None) -> SeriesSet:
    """The series in tables, see `read_series`; those that exceed memory are mapped from files of the cache.

    Raises:
        ValueError, OSError: see `read_series`; when the cache cannot be written.
    """
    return data_cache.mapped("series", lambda folder: read_series(tables, columns, grid, folder), "series")


def _resolved(options: ForecastOptions, data: SeriesSet, tables: Tables, source: str) -> Corpus:
    notes = list(data.notes)
    season = data.grid.season if options.season is None else options.season
    horizon = options.horizon or (season if 1 < season <= _MAX_SEASON else 12)
    test = 0.0 if isinstance(options.test, Path) else options.test
    ends = split_all(data.series, horizon, options.held_out, test, tables)
    for part, table in (("held_out", options.valid), ("test", options.test)):
        if isinstance(table, Path) and not scored_spans(list(ends.values()), horizon, part):
            raise ValueError(
                f"{table}: expected {horizon} steps at least, the horizon, after the end of a series in the data; "
                "there is no such series in it"
            )
    if len(ends) < len(data.series):
        short = [one.name for index, one in enumerate(data.series) if index not in ends]
        notes.append(f"{len(short)} of {len(data.series)} series are too short to learn from, {short[0]!r} first")
    learned = [end.learned for end in ends.values()]
    typical = int(statistics.median(learned))
    if options.season is None and 2 * season > typical:
        notes.append(f"the {typical} steps to learn from hold no two seasons of {season}; none is taken (season 1)")
        season = 1
    window = options.window or min(max(typical // 4, min(2 * season, typical // 2), 4), _LONGEST_WINDOW)
    shorter = sum(count < window for count in learned)
    if shorter:
        notes.append(f"{shorter} of {len(ends)} series have fewer steps to learn from than the window of {window}")
    series = Mapped(list(ends), data.series.__getitem__)
    preprocessing = Preprocessing.learn(
        dataclasses.replace(data, series=series), learned, options.calendar, season, horizon, window
    )
    notes += _of_little_use(preprocessing, series, learned)
    series = preprocessing.series_of(dataclasses.replace(data, series=series))
    notes += unknown_values(preprocessing, series)
    settled = dataclasses.replace(options, season=season, horizon=horizon, window=window)
    return Corpus(source, data.sha256, preprocessing, series, list(ends.values()), tuple(notes), settled)


def _of_little_use(preprocessing: Preprocessing, series: Sequence[Series], ends: Sequence[int]) -> Iterator[str]:
    for position in preprocessing.covariates.constant:
        name, value = preprocessing.columns.covariates[position], float(preprocessing.covariates.means[position])
        yield f"covariate {name!r} never changes in the part to learn from ({value:g})"
    coarse = [one.name for one, end in zip(series, ends, strict=True) if _is_coarse(one.values[:end])]
    if coarse:
        more = f" and {len(coarse) - 1} more series" if len(coarse) > 1 else ""
        yield (
            f"{coarse[0]!r}{more}: the values differ by so little from each other, beside their size, that few digits "
            "of the differences are left; write them as differences from a fixed number"
        )


def _is_coarse(values: Numbers) -> bool:
    """Whether the distances of values, which float64 has rounded, have fewer than about three digits."""
    there = values[~np.isnan(values)]
    spread = np.ptp(there) if len(there) else 0.0
    return bool(0 < spread < _COARSE * np.abs(there).max())


def unknown_values(preprocessing: Preprocessing, series: Sequence[Series]) -> list[str]:
    """A notice of the values of categorical covariates that the training data does not have, if there are any."""
    if not len(preprocessing.categories):
        return []
    width = preprocessing.covariates.width
    numbers = (torch.from_numpy(one.covariates[:, width:].astype(np.int64)) for one in series)
    notice = preprocessing.categories.unknown_notice("the data", numbers)
    return [] if notice is None else [notice]
