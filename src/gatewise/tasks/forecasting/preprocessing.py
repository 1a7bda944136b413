"""What a network of forecasts takes from its data, and needs again to read other data."""

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from gatewise.data.calendar import calendar_cycles, calendar_features
from gatewise.data.scaling import Scaling
from gatewise.data.series import Columns, Series, SeriesSet
from gatewise.data.time_grid import TimeGrid


@dataclass(frozen=True)
class Recipe:
    """How series become numbers that a network reads.

    Attributes:
        grid: of the time stamps.
        columns: of the tables.
        cycles: of the calendar that the network is told of.
        covariates: their scaling.
        season: the steps of a season, 1 for none.
        horizon: K, the steps to forecast.
        window: W, the steps that scale a forecast.
    """

    unit: ClassVar[str] = "forecast"

    grid: TimeGrid
    columns: Columns
    cycles: tuple[str, ...]
    covariates: Scaling
    season: int
    horizon: int
    window: int

    @classmethod
    def learn(cls, data: SeriesSet, ends: list[int], calendar: bool, season: int, horizon: int, window: int) -> Self:
        """Of the parts of series, up to their ends, that are learned from."""
        longest = max(ends)
        cycles = calendar_cycles(data.grid, longest) if calendar else ()
        covariates = [row for one, end in zip(data.series, ends, strict=True) for row in one.covariates[:end].tolist()]
        scaling = Scaling.learn([covariates]) if data.columns.covariates else Scaling.none(0)
        return cls(data.grid, data.columns, cycles, scaling, season, horizon, window)

    @property
    def known_size(self) -> int:
        """J, what is known of a step beside its value."""
        return 2 * len(self.cycles) + self.covariates.width

    def known(self, series: Series, begin: int, end: int) -> Tensor:
        """What is known of steps of a series beside their values, (end − begin, J) float64.

        Where covariates are not known, they are NaN.
        """
        numbers = series.numbers(begin, end)
        calendar = torch.from_numpy(calendar_features(self.grid.local_stamps(numbers), self.cycles))
        there = np.full((end - begin, self.covariates.width), np.nan)
        part = series.covariates[begin:end]
        there[: len(part)] = part
        return torch.cat((calendar, self.covariates.of(torch.from_numpy(there))), 1)

    def content(self) -> dict[str, Any]:
        """What `from_content` needs, as JSON values."""
        return {
            "grid": self.grid.content(),
            "columns": vars(self.columns),
            "cycles": self.cycles,
            "covariates": self.covariates.content(),
            "season": self.season,
            "horizon": self.horizon,
            "window": self.window,
        }

    @classmethod
    def from_content(cls, content: dict[str, Any]) -> Self:
        """The recipe that `content` described."""
        columns: dict[str, Any] = {
            name: tuple(one) if isinstance(one, list) else one for name, one in content["columns"].items()
        }
        return cls(
            TimeGrid.from_content(content["grid"]),
            Columns(**columns),
            tuple(content["cycles"]),
            Scaling.from_content(content["covariates"]),
            *(content[name] for name in ("season", "horizon", "window")),
        )
