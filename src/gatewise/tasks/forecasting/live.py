"""A series that comes step by step: the network reads each step once and keeps its state."""

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gatewise.data.series import Series, series_name
from gatewise.data.series_rows import read_rows
from gatewise.data.series_tables import TextTable
from gatewise.layers.inputs import State
from gatewise.tasks.forecasting.going_on import Teller, go_on
from gatewise.tasks.forecasting.recipe import Recipe
from gatewise.tasks.forecasting.scaling import lags, references, scale_of, step_features
from gatewise.tasks.reporting import say

NAN = float("nan")


class LiveSeries:
    """One series, and the state of the network that has read it so far.

    Args:
        teller: what forecasts, without covariates.
    """

    def __init__(self, teller: Teller) -> None:
        self._teller = teller
        self._buffer = torch.full((1, teller.buffer_width), NAN, dtype=torch.float64)
        self._state: State | None = None
        self._hidden: Tensor | None = None
        self._back = torch.tensor(lags(teller.recipe.horizon, teller.recipe.season)) + 1
        self.last: int | None = None

    @property
    def has_begun(self) -> bool:
        """Whether there was a value yet."""
        return self._hidden is not None

    def read(self, number: int, value: float) -> None:
        """Read the value of a step of the grid, NaN where it is missing; so are the steps that were passed over.

        Raises:
            ValueError: when the step is not after the last one.
        """
        if self.last is not None and number <= self.last:
            raise ValueError("is not after the row before it")
        if not self.has_begun and math.isnan(value):
            return
        for missing in range(self.last + 1 if self.last is not None else number, number):
            self._read(missing, NAN)
        self._read(number, value)

    def forecast(self) -> Tensor:
        """The quantiles (K, levels) of the steps to come, float64."""
        assert self._hidden is not None
        assert self._state is not None
        assert self.last is not None
        model, output, recipe, levels, recursive = self._teller
        with torch.no_grad():
            if recursive:
                known = self._known(self.last + 1, recipe.horizon)[None]
                return go_on(self._teller, self._hidden, self._state, self._buffer, known)[0]
            scale = scale_of(self._buffer[:, -recipe.window :])
            given = references(self._buffer[:, -self._back], scale, recipe.season)
            told = model.decode(self._hidden, given.to(self._hidden))
            return scale.unscaled(output.quantiles(told, levels))[0]

    def _read(self, number: int, value: float) -> None:
        missing = math.isnan(value)
        now = self._buffer[:, -1:] if missing else torch.tensor([[value]], dtype=torch.float64)
        self._buffer = torch.cat((self._buffer[:, 1:], now), 1)
        model, recipe = self._teller.model, self._teller.recipe
        with torch.no_grad():
            window = self._buffer[:, -recipe.window :]
            features, _ = step_features(window, torch.tensor([missing]), self._known(number, 1))
            self._hidden, self._state = model.step(features.to(model.blend), self._state)
        self.last = number

    def _known(self, first: int, count: int) -> Tensor:
        nothing = np.empty(0)
        return self._teller.recipe.known(Series("", first, nothing, nothing.reshape(0, 0)), 0, count)


class LiveRow(NamedTuple):
    """A value that has come.

    Attributes:
        series: the name of its series.
        step: its step on the grid; None for the next.
        value: NaN where it is missing.
        where: where it stood, for people.
    """

    series: str
    step: int | None
    value: float
    where: str


class Rows:
    """Rows of CSV that come line by line: of each the series, the step and the value.

    Args:
        lines: the lines; the first has the names, unless columns are given by numbers.
        where: what to call them.
        recipe: which column is what, and how series are read.
    """

    def __init__(self, lines: Iterable[str], where: str, recipe: Recipe) -> None:
        self._lines, self._where, self._recipe = lines, where, recipe

    def __iter__(self) -> Iterator[LiveRow]:
        """The rows."""
        columns = self._recipe.columns
        names = [*filter(None, (columns.time, columns.series)), *columns.values]
        head = "" if all(name.isdecimal() or name == "row" for name in names) else None
        for number, line in enumerate(self._lines, 1):
            if not line.strip():
                continue
            if head is None:
                head = line if line.endswith("\n") else f"{line}\n"
                continue
            where = f"{self._where}: line {number}"
            rows = read_rows([TextTable(where, head + line)], columns)
            name = rows.series[0] if rows.series else ""
            step = None
            if rows.stamps is not None:
                if rows.form.counts != self._recipe.grid.form.counts:
                    raise ValueError(f"{where}: the time stamp is not of the form of those in training")
                numbers, on_grid = self._recipe.grid.numbers(rows.stamps)
                if not on_grid.all():
                    raise ValueError(
                        f"{where}: the time stamp {rows.form.write(rows.stamps[0])} is not on the grid of training, "
                        f"a step of which is {self._recipe.grid.title}"
                    )
                step = int(numbers[0])
            for place, column in enumerate(columns.values):
                full = series_name(name, column, len(columns.values))
                yield LiveRow(full, step, float(rows.values[0, place]), where)


def follow(rows: Iterable[LiveRow], series: dict[str, LiveSeries], teller: Teller) -> Iterator[tuple[str, int, Tensor]]:
    """After each row the name of its series, its step and the forecast; a row that comes too late is told and left out.

    Args:
        rows: see `Rows`.
        series: those that have begun already, by name.
        teller: what forecasts those that have not.
    """
    for name, number, value, where in rows:
        one = series.get(name) or series.setdefault(name, LiveSeries(teller))
        step = (one.last or 0) + 1 if number is None else number
        try:
            one.read(step, value)
        except ValueError as error:
            say(f"warning: {where}: the row {error}; left out")
            continue
        if one.has_begun:
            yield name, step, one.forecast()
