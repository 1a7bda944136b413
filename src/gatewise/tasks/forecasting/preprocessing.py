"""What a network of forecasts takes from its data, and needs again to read other data."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from gatewise.data.calendar import calendar_cycles, calendar_features
from gatewise.data.categories import Categories
from gatewise.data.mapped import Mapped
from gatewise.data.scaling import Scaling
from gatewise.data.series import Series, SeriesSet
from gatewise.data.series_columns import Columns
from gatewise.data.series_rows import Numbers
from gatewise.data.time_grid import TimeGrid


@dataclass(frozen=True)
class Preprocessing:
    """How series become numbers that a network reads.

    Attributes:
        grid: of the time stamps.
        columns: of the tables.
        cycles: of the calendar that are inputs of the network.
        covariates: the scaling of those that are numbers.
        season: the steps of a season, 1 for none.
        horizon: K, the steps to forecast.
        window: W, the steps that scale a forecast.
        categories: the values of covariates that are categorical.
        static: of each of these, whether it is the same at all steps of a series.
    """

    unit: ClassVar[str] = "forecast"

    grid: TimeGrid
    columns: Columns
    cycles: tuple[str, ...]
    covariates: Scaling
    season: int
    horizon: int
    window: int
    categories: Categories = Categories({})  # noqa: RUF009 - immutable
    static: tuple[bool, ...] = ()

    @classmethod
    def learn(cls, data: SeriesSet, ends: list[int], calendar: bool, season: int, horizon: int, window: int) -> Self:
        """Of the parts of series, up to their ends, that are learned from."""
        longest = max(ends)
        cycles = calendar_cycles(data.grid, longest) if calendar else ()
        names = data.columns.covariates
        numbers = Mapped(range(len(ends)), lambda index: data.series[index].covariates[: ends[index], : len(names)])
        scaling = Scaling.learn(numbers) if names else Scaling.none(0)

        def values(column: int) -> Iterator[str]:
            for one, end in zip(data.series, ends, strict=True):
                yield from (data.categories[column][int(code)] for code in one.covariates[:end, len(names) + column])

        static = tuple(
            all(np.ptp(one.covariates[:, len(names) + index]) == 0 for one in data.series)
            for index in range(len(data.columns.categorical))
        )
        categories = Categories.learn({name: values(column) for column, name in enumerate(data.columns.categorical)})
        return cls(data.grid, data.columns, cycles, scaling, season, horizon, window, categories, static)

    @property
    def known_size(self) -> int:
        """J, what is known of a step beside its value."""
        return 2 * len(self.cycles) + self.future_size

    @property
    def future_size(self) -> int:
        """F, the covariates of a step, categorical ones among them."""
        return self.covariates.width + len(self.categories)

    @property
    def known_ahead(self) -> tuple[str, ...]:
        """The names of covariates that the data must have for steps to come."""
        changing = (name for name, static in zip(self.columns.categorical, self.static, strict=True) if not static)
        return (*self.columns.covariates, *changing)

    def numbers_of(self, values: Sequence[Sequence[str]]) -> list[Numbers]:
        """The numbers here of the values of each categorical column."""
        vocabularies = self.categories.vocabularies.values()
        return [
            vocabulary.encode_tokens(of_column).numpy().astype(np.float64)
            for vocabulary, of_column in zip(vocabularies, values, strict=True)
        ]

    def numbered(self, covariates: Numbers, numbers: Sequence[Numbers]) -> Numbers:
        """Covariates (…, F) with the numbers that categorical ones have here.

        Args:
            covariates: with the indices of their values among all in the data.
            numbers: those of the values, see `numbers_of`.
        """
        found = covariates.copy()
        for column, of_column in enumerate(numbers, self.covariates.width):
            known = ~np.isnan(found[..., column])
            found[known, column] = of_column[found[known, column].astype(np.int64)]
        return found

    def series_of(self, data: SeriesSet) -> Sequence[Series]:
        """The series of data with the numbers that categorical covariates have here."""
        if not data.categories:
            return data.series
        numbers = self.numbers_of(data.categories)
        return Mapped(data.series, lambda one: replace(one, covariates=self.numbered(one.covariates, numbers)))

    def completed(self, covariates: Numbers, last: Numbers | None) -> Numbers:
        """Covariates (n, F) of steps to come, with those that never change in a series where they are not known.

        Args:
            covariates: NaN where they are not known.
            last: (F,), the last that are.
        """
        if last is None or not any(self.static):
            return covariates
        static = np.array([False] * self.covariates.width + list(self.static))
        return np.where(static & np.isnan(covariates), last, covariates)

    def known(self, series: Series, begin: int, end: int) -> Tensor:
        """What is known of steps of a series beside their values, (end − begin, J) float64.

        Where covariates are not known, they are NaN.
        """
        numbers = series.numbers(begin, end)
        calendar = torch.from_numpy(calendar_features(self.grid.local_stamps(numbers), self.cycles))
        there = np.full((end - begin, self.future_size), np.nan)
        part = series.covariates[begin:end]
        there[: len(part)] = part
        there = torch.from_numpy(self.completed(there, series.covariates[-1] if len(series.covariates) else None))
        numbers, categories = there.split((self.covariates.width, len(self.categories)), 1)
        return torch.cat((calendar, self.covariates.of(numbers), categories), 1)

    def content(self) -> dict[str, Any]:
        """What `from_content` needs, as JSON values."""
        return {
            "grid": self.grid.content(),
            "columns": vars(self.columns),
            "cycles": self.cycles,
            "covariates": self.covariates.content(),
            "categories": self.categories.content(),
            "static": self.static,
            "season": self.season,
            "horizon": self.horizon,
            "window": self.window,
        }

    @classmethod
    def from_content(cls, content: dict[str, Any]) -> Self:
        """The preprocessing that `content` described."""
        columns: dict[str, Any] = {
            name: tuple(one) if isinstance(one, list) else one for name, one in content["columns"].items()
        }
        return cls(
            TimeGrid.from_content(content["grid"]),
            Columns(**columns),
            tuple(content["cycles"]),
            Scaling.from_content(content["covariates"]),
            *(content[name] for name in ("season", "horizon", "window")),
            categories=Categories.from_content(content["categories"]),
            static=tuple(content["static"]),
        )
