"""A series that comes step by step: the network reads each step once and keeps its state."""

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gatewise.data.cells import column_position
from gatewise.data.series import Series, series_name
from gatewise.data.series_rows import Numbers, read_rows
from gatewise.data.series_tables import TextTable
from gatewise.data.table_format import PLAIN, TableFormat
from gatewise.data.tables import names_of_text
from gatewise.progress import say
from gatewise.tasks.forecasting.preprocessing import Preprocessing
from gatewise.tasks.forecasting.sampling import Predictor, sample_quantiles
from gatewise.tasks.forecasting.scaling import scale_of
from gatewise.tasks.forecasting.stepping import NAN, History, forecast, read_step

_NONE: Numbers = np.empty(0)


class LiveSeries:
    """One series, and the state of the network that has read it so far.

    Args:
        predictor: what forecasts.
    """

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self._past = History.nothing(predictor, 1)
        self._hidden: Tensor | None = None
        # By step, from the last one that was read on.
        self._covariates: dict[int, Numbers] = {}
        self.last: int | None = None

    @property
    def has_begun(self) -> bool:
        """Whether there was a value yet."""
        return self._hidden is not None

    def read(self, number: int, value: float, covariates: Numbers = _NONE) -> None:
        """Read the value of a step of the grid, NaN where it is missing; so are the steps that were passed over.

        Args:
            number: of the step.
            value: the value.
            covariates: (C,), those of the step.

        Raises:
            ValueError: when the step is not after the last one.
        """
        self._check(number)
        if not self.has_begun and math.isnan(value):
            return
        self._covariates[number] = covariates
        for missing in range(self.last + 1 if self.last is not None else number, number):
            self._read(missing, NAN)
        self._read(number, value)
        # Of the past the newest is enough: it stands for steps without a row.
        self._covariates = {step: given for step, given in self._covariates.items() if step >= number}

    def announce(self, number: int, covariates: Numbers) -> bool:
        """Note the covariates (C,) of a step to come; whether that changes what a forecast from here rests on.

        Raises:
            ValueError: when the step is not after the last one that was read.
        """
        self._check(number)
        before = self._ahead() if self.has_begun else _NONE
        self._covariates[number] = covariates
        return self.has_begun and not np.array_equal(before, self._ahead(), equal_nan=True)

    @property
    def first_unknown(self) -> int | None:
        """The first of the steps to come whose covariates are not known."""
        unknown = np.flatnonzero(np.isnan(self._ahead()).any(1))
        return self.last + 1 + int(unknown[0]) if self.last is not None and len(unknown) else None

    def forecast(self) -> Tensor:
        """The quantiles (K, levels) of the steps to come, float64."""
        assert self._hidden is not None
        assert self.last is not None
        predictor, preprocessing = self._predictor, self._predictor.preprocessing
        buffer, changes, state = self._past
        assert state is not None
        with torch.no_grad(), predictor.model.encoder.recurrent.frozen():
            known = self._known(self.last + 1, preprocessing.horizon)[None]
            if not predictor.recursive:
                future = known[..., known.shape[2] - preprocessing.future_size :]
                return forecast(predictor, self._hidden, buffer, changes.usual, future)[0]
            found = sample_quantiles(predictor, self._hidden, state, buffer, changes.usual, known)
            if predictor.calibration is not None:
                scale = scale_of(buffer[:, -preprocessing.window :], changes.usual)
                found = predictor.calibration.applied(found, scale.scale)
            return found[0]

    def _read(self, number: int, value: float) -> None:
        with torch.no_grad():
            values, known = torch.tensor([value], dtype=torch.float64), self._known(number, 1)
            self._hidden, self._past = read_step(self._predictor, self._past, values, known)
        self.last = number

    def _check(self, number: int) -> None:
        if self.last is not None and number <= self.last:
            raise ValueError("is not after the row before it")

    def _known(self, first: int, count: int) -> Tensor:
        return self._predictor.preprocessing.known(
            Series("", first, _NONE, self._covariates_of(first, count)), 0, count
        )

    def _ahead(self) -> Numbers:
        """The covariates (K, C) of the steps to come."""
        assert self.last is not None
        return self._covariates_of(self.last + 1, self._predictor.preprocessing.horizon)

    def _covariates_of(self, first: int, count: int) -> Numbers:
        """Those of steps (n, C), where there is no row those before it; NaN after the last row."""
        found = np.full((count, self._predictor.preprocessing.future_size), np.nan)
        steps = sorted(self._covariates)
        for index in range(count if steps and found.shape[1] else 0):
            position = bisect_right(steps, first + index)
            if position and first + index <= steps[-1]:
                found[index] = self._covariates[steps[position - 1]]
        return self._predictor.preprocessing.completed(found, self._covariates[steps[-1]] if steps else None)


class LiveRow(NamedTuple):
    """A value that has come.

    Attributes:
        series: the name of its series.
        step: its step on the grid; None for the next.
        second_step: that of the second time where its local time comes twice; otherwise the same.
        value: NaN where it is missing.
        covariates: (C,), those of the step.
        where: where it stood, for people.
    """

    series: str
    step: int | None
    second_step: int | None
    value: float
    covariates: Numbers
    where: str

    def after(self, last: int | None) -> "LiveRow":
        """The row after another step of its series: of a time that comes twice, the one that comes after it."""
        late = self.step is not None and last is not None and self.step <= last
        return self._replace(step=self.second_step) if late else self


class Rows:
    """Rows of CSV that come line by line: of each the series, the step and the value.

    A row that cannot be read is skipped with a warning: a stream does not begin again for the sake of one.

    Args:
        lines: the lines; the first has the names, unless columns are given by numbers.
        where: what to call them.
        preprocessing: which column is what, and how series are read.
        format: how they are written.
    """

    def __init__(
        self, lines: Iterable[str], where: str, preprocessing: Preprocessing, format: TableFormat = PLAIN
    ) -> None:
        self._lines, self._where, self._preprocessing, self._format = lines, where, preprocessing, format
        columns = preprocessing.columns
        self._others = [
            *([columns.series] if columns.series else []),
            *columns.values,
            *columns.covariates,
            *columns.categorical,
        ]

    def __iter__(self) -> Iterator[LiveRow]:
        """The rows.

        Raises:
            ValueError: when a column is missing in the line of names.
        """
        head = "" if all(map(str.isdecimal, self._wanted(()))) else None
        for number, line in enumerate(self._lines, 1):
            if not line.strip():
                continue
            where = f"{self._where}: line {number}"
            if head is None:
                head = self._head(where, line)
                continue
            try:
                rows = self._read(number, head, line)
            except ValueError as error:
                # The reader of CSV counts from the line of names.
                message = str(error).replace(f"{self._where}: line {2 if head else 1}:", f"{where}:")
                say(f"warning: {message}; the row is skipped")
                continue
            yield from rows

    def _wanted(self, names: Sequence[str]) -> list[str]:
        """The columns to read, of those with names."""
        return [*self._preprocessing.columns.time_columns(names), *self._others]

    def _head(self, where: str, line: str) -> str:
        names = names_of_text(Path(where), line, self._format)
        for name in self._wanted(names):
            if not name.isdecimal():
                column_position(where, name, names, "the line names")
        return line if line.endswith("\n") else f"{line}\n"

    def _read(self, number: int, head: str, line: str) -> list[LiveRow]:
        where = f"{self._where}: line {number}"
        if any("\ud800" <= letter <= "\udfff" for letter in line):
            raise ValueError(f"{where}: not UTF-8")
        columns, grid = self._preprocessing.columns, self._preprocessing.grid
        rows = read_rows([TextTable(self._where, head + line, number, self._format)], columns, grid.form)
        numbers_of = self._preprocessing.numbers_of(rows.categories)
        covariates = self._preprocessing.numbered(rows.covariates_at(np.zeros(1, np.int64))[0], numbers_of)
        name = rows.names[0] if rows.names else ""
        step = second_step = None
        if rows.stamps is not None:
            second = rows.stamps if rows.last_stamps is None else rows.last_stamps
            numbers, on_grid = grid.numbers(np.concatenate((rows.stamps, second)))
            if not on_grid.all():
                raise ValueError(
                    f"{where}: the time stamp {rows.form.describe(rows.stamps[0])} is not on the grid of training, "
                    f"a step of which is {grid.title}"
                )
            step, second_step = int(numbers[0]), int(numbers[1])
        return [
            LiveRow(
                series_name(name, column, len(columns.values)),
                step,
                second_step,
                float(rows.values[0, position]),
                covariates,
                where,
            )
            for position, column in enumerate(columns.values)
        ]


def follow(
    rows: Iterable[LiveRow], series: dict[str, LiveSeries], predictor: Predictor
) -> Iterator[tuple[str, int, Tensor]]:
    """After each row the name of its series, the last step that was read and the forecast.

    Where there are covariates, a row without a value tells those of a step to come, and there is a forecast after each
    row that changes it, once those of all steps to come are known. A row that comes too late, or is far from all
    others, is skipped with a warning.

    Args:
        rows: see `Rows`.
        series: those that have begun already, by name.
        predictor: what forecasts those that have not.
    """
    preprocessing = predictor.preprocessing
    waiting: set[str] = set()
    for row in _plausible(rows, series, preprocessing):
        name, number, value, covariates, where = row.series, row.step, row.value, row.covariates, row.where
        one = series.get(name) or series.setdefault(name, LiveSeries(predictor))
        step = (one.last or 0) + 1 if number is None else number
        changed = True
        try:
            if math.isnan(value) and preprocessing.known_ahead:
                changed = one.announce(step, covariates)
            else:
                one.read(step, value, covariates)
        except ValueError as error:
            say(f"warning: {where}: the row {error}; skipped")
            continue
        if not one.has_begun or one.last is None or not changed:
            continue
        unknown = one.first_unknown
        if unknown is None:
            waiting.discard(name)
            yield name, one.last, one.forecast()
        elif name not in waiting:
            waiting.add(name)
            (stamp,) = preprocessing.grid.written(np.array([unknown]))
            say(
                f"warning: {where}: series {name!r}: no {', '.join(preprocessing.known_ahead)} at {stamp}; forecasts "
                f"continue once rows without a value have the covariates of all {preprocessing.horizon} steps to come"
            )


def _plausible(
    rows: Iterable[LiveRow], series: Mapping[str, LiveSeries], preprocessing: Preprocessing
) -> Iterator[LiveRow]:
    """The rows without those whose time stamp is far ahead, unless the next row of their series is near them.

    One wrong time stamp would else make all rows that come after it too late.
    """
    far = max(preprocessing.window, preprocessing.horizon, preprocessing.season)
    held: dict[str, LiveRow] = {}

    def left_out(row: LiveRow) -> None:
        say(
            f"warning: {row.where}: the row is more than {far} steps after the row before it, and the next one does "
            "not follow from it; skipped"
        )

    for row in rows:
        last = series[row.series].last if row.series in series else None
        row = row.after(last)
        announces = math.isnan(row.value) and bool(preprocessing.known_ahead)
        if row.step is None or last is None or announces:
            yield row
            continue
        before = held.pop(row.series, None)
        if before is not None:
            if before.step is not None and 0 < row.step - before.step <= far:
                yield before
                yield row
                continue
            left_out(before)
        if row.step - last <= far:
            yield row
        else:
            held[row.series] = row
    for row in held.values():
        left_out(row)
