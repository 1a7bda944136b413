"""The scores of forecasts as sums, so that those of many series are computed from a part of them after the other."""

from dataclasses import dataclass
from typing import Any, Self

from torch import Tensor

_PER_STEP = ("mae", "baseline_mae", "mse", "scaled_mae", "scaled_mse", "coverage")


@dataclass(frozen=True)
class Sum:
    """What a mean is computed from, for each of K steps, or of one number alone.

    Attributes:
        total: (K,) or () float64, the sum of the values that there are.
        count: (K,) or () int64, how many they are.
    """

    total: Tensor
    count: Tensor

    @classmethod
    def of(cls, values: Tensor) -> Self:
        """The sum of values (N, K) or (N,), NaN being none."""
        return cls(values.double().nansum(0), (~values.isnan()).sum(0))

    def plus(self, other: "Sum") -> "Sum":
        """The sum of both."""
        return Sum(self.total + other.total, self.count + other.count)

    @property
    def mean(self) -> float:
        """The mean over all steps; NaN where nothing came."""
        return float(self.total.sum() / self.count.sum())

    def of_step(self, step: int) -> float:
        """The mean of one step."""
        return float(self.total[step] / self.count[step])


@dataclass(frozen=True)
class ScoreSums:
    """What the scores of forecasts of some series are computed from.

    Attributes:
        series: the number of series.
        forecasts: the number of forecasts.
        errors: by the name of the score what it is the mean of, for each of the K steps.
        by_series: the same of means over series.
    """

    series: int
    forecasts: int
    errors: dict[str, Sum]
    by_series: dict[str, Sum]

    def plus(self, other: "ScoreSums") -> "ScoreSums":
        """Those of both, which have no series in common."""
        return ScoreSums(
            self.series + other.series,
            self.forecasts + other.forecasts,
            {name: one.plus(other.errors[name]) for name, one in self.errors.items()},
            {name: one.plus(other.by_series[name]) for name, one in self.by_series.items()},
        )

    def scores(self) -> dict[str, Any]:
        """The scores by name; ``per_step`` has some of them for each step of the horizon, by its number from 1."""
        scaled = {name: one for name, one in self.errors.items() if "scaled" in name} | dict(self.by_series)
        means = {
            name: one.mean for name, one in (self.errors | scaled).items() if name not in scaled or one.count.any()
        }
        found: dict[str, Any] = {"series": self.series, "forecasts": self.forecasts}
        for prefix in ("", "baseline_"):
            means[f"{prefix}rmse"] = means[f"{prefix}mse"] ** 0.5
            names = ("mae", "mse", "rmse", "mase", "smape", "scaled_mae", "scaled_mse", "pinball", "coverage")
            found |= {prefix + name: means[prefix + name] for name in names if prefix + name in means}
            if not prefix and "uncalibrated_coverage" in means:
                found["uncalibrated_coverage"] = means["uncalibrated_coverage"]
        return {**found, "last_value_mae": means["last_value_mae"], "per_step": self._per_step()}

    def _per_step(self) -> dict[str, dict[str, float]]:
        """Some scores of each step of the horizon for which a value came, all by the same names."""
        steps = self.errors["mae"].count.nonzero().flatten().tolist()
        names = [name for name in _PER_STEP if name in self.errors and self.errors[name].count[steps].all()]
        return {str(step + 1): {name: self.errors[name].of_step(step) for name in names} for step in steps}
