"""Forecasts from many steps of series, what came, and what the scores of both are computed from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gatewise.tasks.forecasting.outputs import pinball, quantiles_of
from gatewise.tasks.forecasting.panel import Panel
from gatewise.tasks.forecasting.score_sums import ScoreSums, Sum

# Errors of the baseline, from the newest, that its quantiles are taken from.
_MAX_ERRORS = 2000


@dataclass(frozen=True)
class BackTest:
    """Forecasts from N positions, and what came.

    Attributes:
        panel: the series.
        series: (N,) int64, the number of each one's series.
        positions: (N,) int64, where it begins.
        levels: L levels of quantiles, 0.5 among them.
        quantiles: (N, K, L) float64, in the units of the data.
        truth: (N, K) float64, NaN where missing.
        learned: the number of steps of each series that were learned from; by default those up to its first forecast.
        uncalibrated: (N, K, L), the quantiles before a calibration has moved them, if one has.
    """

    panel: Panel
    series: Tensor
    positions: Tensor
    levels: tuple[float, ...]
    quantiles: Tensor
    truth: Tensor
    learned: Sequence[int] | None = None
    uncalibrated: Tensor | None = None

    @property
    def middle(self) -> Tensor:
        """The medians (N, K)."""
        return self.quantiles[..., self.levels.index(0.5)]

    def baseline(self) -> Tensor:
        """The seasonal naive forecasts with quantiles, (N, K, L): those of its errors before the first forecast."""
        naive = self.panel.seasonal_naive(self.positions)
        found = naive[..., None].repeat(1, 1, len(self.levels))
        for series, rows in self._rows().items():
            begin, first = self.panel.begins[series], int(self.positions[rows].min())
            before = torch.arange(max(begin, first - _MAX_ERRORS), first)
            if len(before) > 1:
                come = before[:, None] + torch.arange(1, found.shape[1] + 1)
                # Of what had come by then.
                truth = self.panel.to_come(before).where(come <= first, float("nan"))
                errors = truth - self.panel.seasonal_naive(before)
                found[rows] += quantiles_of(errors, self.levels)
        median = self.levels.index(0.5)
        found[..., median] = naive
        return found

    @property
    def score_sums(self) -> ScoreSums:
        """What the scores are computed from."""
        seasonal, deviations = self._in_sample_errors(), self._deviations()
        last = self.panel.array_at("filled", self.positions)[:, None]
        errors = self._errors(self.quantiles, deviations)
        if self.uncalibrated is not None and len(self.levels) > 1:
            errors["uncalibrated_coverage"] = _inside(self.uncalibrated, self.truth)
        baseline = self._errors(self.baseline(), deviations)
        errors |= {f"baseline_{name}": values for name, values in baseline.items()}
        errors["last_value_mae"] = (last - self.truth).abs()
        by_series = {
            name: torch.tensor(
                [
                    float(errors[of][rows].nanmean()) / seasonal[series]
                    for series, rows in self._rows().items()
                    if series in seasonal
                ],
                dtype=torch.float64,
            )
            for name, of in (("mase", "mae"), ("baseline_mase", "baseline_mae"))
        }
        return ScoreSums(
            len(self.series.unique()),
            len(self.positions),
            {name: Sum.of(values) for name, values in errors.items()},
            {name: Sum.of(values) for name, values in by_series.items()},
        )

    def scores(self) -> dict[str, Any]:
        """The scores by name, see `ScoreSums.scores`."""
        return self.score_sums.scores()

    def _errors(self, quantiles: Tensor, deviations: Tensor) -> dict[str, Tensor]:
        """By the name of the score what it is the mean of, (N, K); NaN where there is nothing to compare with."""
        middle = quantiles[..., self.levels.index(0.5)]
        off = middle - self.truth
        size = middle.abs() + self.truth.abs()
        scaled = off / deviations[:, None]
        found = {
            "mae": off.abs(),
            "mse": off.square(),
            "smape": 200 * off.abs() / size.where(size > 0, 1),
            "scaled_mae": scaled.abs(),
            "scaled_mse": scaled.square(),
        }
        if len(self.levels) > 1:
            found["pinball"] = pinball(quantiles, self.truth, self.levels).mean(-1)
            found["coverage"] = _inside(quantiles, self.truth)
        return found

    def blocks(self) -> Tensor:
        """The block of time of each forecast, (N,): as many beginnings of forecasts, of any series, as the horizon."""
        firsts = torch.tensor([one.first for one in self.panel.series])
        begins = torch.tensor(self.panel.begins)
        steps = self.positions - begins[self.series] + firsts[self.series]
        return steps.unique(return_inverse=True)[1] // self.truth.shape[1]

    def _rows(self) -> dict[int, Tensor]:
        """By series, which of the forecasts are its own."""
        names, counts = self.series.unique(return_counts=True)
        return dict(zip(names.tolist(), self.series.argsort(stable=True).split(counts.tolist()), strict=True))

    def _in_sample_errors(self) -> dict[int, float]:
        """By series, the mean absolute difference of a season before the first forecast; none where that is 0."""
        found: dict[int, float] = {}
        for series, rows in self._rows().items():
            values = self.panel.values(self.panel.begins[series], int(self.positions[rows].min()) + 1)
            season = self.panel.preprocessing.season
            error = float((values[season:] - values[:-season]).abs().nanmean()) if len(values) > season else 0.0
            if error > 0:  # not NaN either
                found[series] = error
        return found

    def _deviations(self) -> Tensor:
        """For each forecast (N,) the standard deviation of the learned steps of its series; NaN where that is 0."""
        found = torch.full((len(self.positions),), float("nan"), dtype=torch.float64)
        for series, rows in self._rows().items():
            begin = self.panel.begins[series]
            end = int(self.positions[rows].min()) + 1 if self.learned is None else begin + self.learned[series]
            values = self.panel.values(begin, end)
            values = values[~values.isnan()]
            deviation = float(values.std(correction=0)) if len(values) else 0.0
            if deviation > 0:
                found[rows] = deviation
        return found


def coverage(quantiles: Tensor, truth: Tensor) -> float:
    """The share of values (…) between the outermost of their quantiles (…, L); NaN is none of them."""
    return float(_inside(quantiles, truth).nanmean())


def _inside(quantiles: Tensor, truth: Tensor) -> Tensor:
    """1 where values (…) are between the outermost of their quantiles (…, L), 0 where not, NaN for NaN."""
    inside = (truth >= quantiles[..., 0]) & (truth <= quantiles[..., -1])
    return inside.double().where(~truth.isnan(), float("nan"))
