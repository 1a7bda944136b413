"""How well forecasts from many steps of series did, beside the seasonal naive forecast."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gatewise.tasks.forecasting.outputs import pinball, quantiles_of
from gatewise.tasks.forecasting.panel import Panel

# Errors of the baseline, from the newest, that its quantiles are taken from.
_MOST_ERRORS = 2000


@dataclass(frozen=True)
class BackTest:
    """Forecasts from N places, and what came.

    Attributes:
        panel: the series.
        series: (N,) int64, the number of each one's series.
        places: (N,) int64, where it begins.
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
            before = torch.arange(max(begin, first - _MOST_ERRORS), first)
            if len(before) > 1:
                come = before[:, None] + torch.arange(1, found.shape[1] + 1)
                # Of what had come by then.
                truth = self.panel.to_come(before).where(come <= first, float("nan"))
                errors = truth - self.panel.seasonal_naive(before)
                found[rows] += quantiles_of(errors, self.levels)
        median = self.levels.index(0.5)
        found[..., median] = naive
        return found

    def scores(self) -> dict[str, Any]:
        """The scores by name; ``per_step`` has some of them for each step of the horizon, by its number from 1."""
        known = ~self.truth.isnan()
        last = self.panel.filled[self.positions][:, None]
        seasonal, deviations = self._in_sample_errors(), self._deviations()
        baseline = self.baseline()
        ours = self._errors(self.quantiles, known, seasonal, deviations)
        naive = self._errors(baseline, known, seasonal, deviations)
        return {
            "series": len(self.series.unique()),
            "forecasts": len(self.positions),
            **ours,
            **(
                {"uncalibrated_coverage": coverage(self.uncalibrated, self.truth)}
                if self.uncalibrated is not None and len(self.levels) > 1
                else {}
            ),
            **{f"baseline_{name}": value for name, value in naive.items()},
            "last_value_mae": float((last - self.truth).abs()[known].mean()),
            "per_step": self._per_step(baseline, deviations),
        }

    def _errors(
        self, quantiles: Tensor, known: Tensor, seasonal: Mapping[int, float], deviations: Tensor
    ) -> dict[str, float]:
        middle = quantiles[..., self.levels.index(0.5)]
        off = middle - self.truth
        size = (middle.abs() + self.truth.abs())[known]
        rows = self._rows()
        by_series = [
            float(off[rows[series]].abs().nanmean()) / scale
            for series, scale in seasonal.items()
            if known[rows[series]].any()
        ]
        mse = float(off[known].square().mean())
        found = {
            "mae": float(off[known].abs().mean()),
            "mse": mse,
            "rmse": mse**0.5,
            **({"mase": float(np.mean(by_series))} if by_series else {}),
            "smape": float((200 * off[known].abs() / size.where(size > 0, 1)).mean()),
            **_scaled(off, deviations),
        }
        if len(self.levels) > 1:
            found["pinball"] = float(pinball(quantiles, self.truth, self.levels)[known].mean())
            found["coverage"] = coverage(quantiles, self.truth)
        return found

    def _per_step(self, baseline: Tensor, deviations: Tensor) -> dict[str, dict[str, float]]:
        """Some scores of each step of the horizon for which a value came, all by the same names."""
        median = self.levels.index(0.5)
        found: dict[str, dict[str, float]] = {}
        for step in range(self.truth.shape[1]):
            truth, quantiles = self.truth[:, step], self.quantiles[:, step]
            if truth.isnan().all():
                continue
            off = quantiles[:, median] - truth
            row = {
                "mae": float(off.abs().nanmean()),
                "baseline_mae": float((baseline[:, step, median] - truth).abs().nanmean()),
                "mse": float(off.square().nanmean()),
                **_scaled(off[:, None], deviations),
            }
            if len(self.levels) > 1:
                row["coverage"] = coverage(quantiles, truth)
            found[str(step + 1)] = row
        common = set.intersection(*(set(row) for row in found.values())) if found else set()
        return {step: {name: row[name] for name in row if name in common} for step, row in found.items()}

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
            values = self.panel.values[self.panel.begins[series] : int(self.positions[rows].min()) + 1]
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
            values = self.panel.values[begin:end]
            values = values[~values.isnan()]
            deviation = float(values.std(correction=0)) if len(values) else 0.0
            if deviation > 0:
                found[rows] = deviation
        return found


def coverage(quantiles: Tensor, truth: Tensor) -> float:
    """The share of values (…) between the outermost of their quantiles (…, L); NaN is none of them."""
    inside = (truth >= quantiles[..., 0]) & (truth <= quantiles[..., -1])
    return float(inside[~truth.isnan()].double().mean())


def _scaled(off: Tensor, deviations: Tensor) -> dict[str, float]:
    """Mean absolute and squared errors (N, K) in units of the standard deviations (N,) of their series."""
    scaled = off / deviations[:, None]
    scaled = scaled[~scaled.isnan()]
    if not len(scaled):
        return {}
    return {"scaled_mae": float(scaled.abs().mean()), "scaled_mse": float(scaled.square().mean())}
