"""How well forecasts from many steps of series did, beside the seasonal naive forecast."""

from dataclasses import dataclass

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
    """

    panel: Panel
    series: Tensor
    places: Tensor
    levels: tuple[float, ...]
    quantiles: Tensor
    truth: Tensor

    @property
    def middle(self) -> Tensor:
        """The medians (N, K)."""
        return self.quantiles[..., self.levels.index(0.5)]

    def baseline(self) -> Tensor:
        """The seasonal naive forecasts with quantiles, (N, K, L): those of its errors before the first forecast."""
        naive = self.panel.seasonal_naive(self.places)
        found = naive[..., None].repeat(1, 1, len(self.levels))
        for series, rows in self._rows().items():
            begin, first = self.panel.begins[series], int(self.places[rows].min())
            before = torch.arange(max(begin, first - _MOST_ERRORS), first)
            if len(before) > 1:
                come = before[:, None] + torch.arange(1, found.shape[1] + 1)
                # Of what had come by then.
                truth = self.panel.to_come(before).where(come <= first, float("nan"))
                errors = truth - self.panel.seasonal_naive(before)
                found[rows] += quantiles_of(errors, self.levels)
        at = self.levels.index(0.5)
        found[..., at] = naive
        return found

    def scores(self) -> dict[str, float]:
        """The scores by name."""
        known = ~self.truth.isnan()
        last = self.panel.filled[self.places][:, None]
        scales = self._in_sample_errors()
        ours = self._errors(self.quantiles, known, scales)
        naive = self._errors(self.baseline(), known, scales)
        return {
            "series": len(self.series.unique()),
            "forecasts": len(self.places),
            **ours,
            **{f"baseline_{name}": value for name, value in naive.items()},
            "last_value_mae": float((last - self.truth).abs()[known].mean()),
        }

    def _errors(self, quantiles: Tensor, known: Tensor, scales: dict[int, float]) -> dict[str, float]:
        middle = quantiles[..., self.levels.index(0.5)]
        off = middle - self.truth
        size = (middle.abs() + self.truth.abs())[known]
        rows = self._rows()
        by_series = [
            float(off[rows[series]].abs().nanmean()) / scale
            for series, scale in scales.items()
            if known[rows[series]].any()
        ]
        found = {
            "mae": float(off[known].abs().mean()),
            "rmse": float(off[known].square().mean().sqrt()),
            **({"mase": float(np.mean(by_series))} if by_series else {}),
            "smape": float((200 * off[known].abs() / size.where(size > 0, 1)).mean()),
        }
        if len(self.levels) > 1:
            inside = (self.truth >= quantiles[..., 0]) & (self.truth <= quantiles[..., -1])
            found["pinball"] = float(pinball(quantiles, self.truth, self.levels)[known].mean())
            found["coverage"] = float(inside[known].double().mean())
        return found

    def _rows(self) -> dict[int, Tensor]:
        """By series, which of the forecasts are its own."""
        names, counts = self.series.unique(return_counts=True)
        return dict(zip(names.tolist(), self.series.argsort(stable=True).split(counts.tolist()), strict=True))

    def _in_sample_errors(self) -> dict[int, float]:
        """By series, the mean absolute difference of a season before the first forecast; none where that is 0."""
        found: dict[int, float] = {}
        for series, rows in self._rows().items():
            values = self.panel.values[self.panel.begins[series] : int(self.places[rows].min()) + 1]
            season = self.panel.recipe.season
            error = float((values[season:] - values[:-season]).abs().nanmean()) if len(values) > season else 0.0
            if error > 0:  # not NaN either
                found[series] = error
        return found
