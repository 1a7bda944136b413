"""A trained network of forecasts watched while it reads a series, and the attributions of its forecast."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gatewise.data.categories import UNKNOWN
from gatewise.data.series import Series, last_known
from gatewise.diagnostics import Trace
from gatewise.diagnostics.report_contents import ChangeMap
from gatewise.formatting import aligned, format_number
from gatewise.layers.validation import State
from gatewise.tasks.forecasting.backtest import roll
from gatewise.tasks.forecasting.batches import Span, SpanBatches
from gatewise.tasks.forecasting.forecast import Forecast
from gatewise.tasks.forecasting.network import statistics_of
from gatewise.tasks.forecasting.panel import Panel
from gatewise.tasks.forecasting.sampling import Predictor
from gatewise.tasks.forecasting.scaling import Changes
from gatewise.tasks.inspected import MAX_LISTED, Inspected
from gatewise.tasks.inspection import Report, watched


@dataclass(frozen=True)
class ForecastInspection(Inspected):
    """A series that was read while the network was watched, and its forecast.

    Attributes:
        forecast: of the K steps after it.
        past: the time stamps of the T steps that were watched.
        contributions: (K, T), by how much the value of step t raises the forecast of step k, in units of the data: the
            forecast less the one that is predicted when that value is missing. The hidden state, the scale of the
            window and the adjacent values all contribute to it.
        covariates: by name (K, T + K), the same for a covariate at each past step and each to come, against its mean
            in training; for a categorical one against a value that training did not have.
        trace: what was recorded: ``.diagnose()`` has the findings.
    """

    forecast: Forecast
    past: list[str]
    contributions: Tensor
    covariates: dict[str, Tensor]
    trace: Trace

    def rows(self) -> list[dict[str, Any]]:
        """Each step of the forecast, and the contributions of every past value and every covariate."""
        steps = [*self.past, *self.forecast.times]
        rows: list[dict[str, Any]] = []
        for row, position in zip(self.forecast.rows(), range(len(self.contributions)), strict=True):
            row["contributions"] = [[*pair] for pair in zip(steps, self.contributions[position].tolist(), strict=False)]
            for name, changes in self.covariates.items():
                row[f"contributions_{name}"] = [[*pair] for pair in zip(steps, changes[position].tolist(), strict=True)]
            rows.append(row)
        return rows

    def __str__(self) -> str:
        causes = {"contributions": "", **{f"contributions_{name}": f"{name} " for name in self.covariates}}
        lines: list[list[str]] = []
        for row in self.rows():
            moves = [(prefix + step, value) for key, prefix in causes.items() for step, value in row[key]]
            most = sorted(moves, key=lambda item: -abs(item[1]))[:MAX_LISTED]
            by = ", ".join(f"{step} {format_number(value, sign='+')}" for step, value in most)
            lines.append([row["time"], format_number(row["forecast"], 6), by])
        title = f"forecast of {self.forecast.series} after {self.forecast.after}"
        return f"{title}\n{aligned([['time', 'forecast', 'largest contributions'], *lines], '<><')}"


@dataclass(frozen=True)
class Watched:
    """The last T steps of a series, and the state of the network that has read those before.

    Attributes:
        series: the steps, and as many before them as their windows and seasons reach back.
        begin: how many those before are.
        changes: what was seen of the series' changes up to the first of them.
        state: (L, 1, H) each; None for none before.
    """

    series: Series
    begin: int
    changes: Changes
    state: State | None

    @classmethod
    def last(cls, predictor: Predictor, series: Series, steps: int) -> "Watched":
        """The last steps of a series."""
        model, preprocessing = predictor.model, predictor.preprocessing
        begin = max(0, len(series) - steps)
        known = np.flatnonzero(~np.isnan(series.values[: max(0, begin - predictor.buffer_width) + 1]))
        first = int(known[-1])  # a series begins with a value
        state: State | None = None
        if begin:
            before = Panel(preprocessing, [series.until(begin)]).array_at("inputs", torch.arange(begin))[:, None]
            with torch.no_grad():
                _, state = model.read(before.to(model.blend.dtype), torch.tensor([begin]))
        seen = Changes().after(torch.from_numpy(last_known(series.values)))
        return cls(_from(series, first), begin - first, Changes(seen.logs[first], seen.seen[first]), state)

    @property
    def steps(self) -> int:
        """T."""
        return len(self.series) - self.begin


def inspect_forecast(predictor: Predictor, watching: Watched, forecast: Forecast, report: Report) -> ForecastInspection:
    """Watch one forward and backward pass over steps of a series, attribute its forecast, write the report.

    The loss is that of training, the mean over all forecasts from these steps whose truth has come.

    Args:
        predictor: what forecasts.
        watching: the steps, at least 2.
        forecast: of the steps after them.
        report: what to write.

    Raises:
        OSError: when the report cannot be written.
    """
    model, preprocessing = predictor.model, predictor.preprocessing
    series, begin = watching.series, watching.begin
    past = preprocessing.grid.written(series.numbers(begin, len(series)))
    panel = Panel(dataclasses.replace(preprocessing, horizon=model.horizon), [series], watching.changes)
    batch, _, _ = SpanBatches(panel, [Span(0, begin, begin, len(series) - 1)], 1).batch_of([0])
    statistics = statistics_of(model, predictor.output, watching.state)

    def loss() -> Tensor:
        found = statistics(batch)
        return found.loss_sum / found.predictions

    values = value_contributions(predictor, watching)
    covariates = covariate_contributions(predictor, watching)
    trace = watched(model, model.encoder, loss)
    predicted = [
        f"{time}: {format_number(value, 6)}" for time, value in zip(forecast.times, forecast.values, strict=True)
    ]
    maps = [ChangeMap("Contributions to the forecast: values", past, predicted, values)]
    for name, changes in covariates.items():
        maps.append(ChangeMap(f"Contributions to the forecast: {name}", [*past, *forecast.times], predicted, changes))
    report.write(trace, tokens=past, changes=maps)
    return ForecastInspection(forecast, past, values, covariates, trace)


def value_contributions(predictor: Predictor, watching: Watched) -> Tensor:
    """(K, T): by how much the value of each step raises the forecast, see `ForecastInspection`.

    As Li et al. 2016 (arXiv:1612.08220) erase words; a value that is erased is missing, as others in the data are.
    """
    series, begin = watching.series, watching.begin
    values = torch.zeros(predictor.preprocessing.horizon, watching.steps, dtype=torch.float64)
    # A series that loses its first value begins with the next.
    there = [position for position in range(max(begin, 1), len(series)) if not np.isnan(series.values[position])]
    copies = [series, *(_without_value(series, position) for position in there)]
    whole, *rest = _medians(predictor, watching, copies)
    for position, without in zip(there, rest, strict=True):
        values[:, position - begin] = whole - without
    if begin == 0:
        second = int(np.flatnonzero(~np.isnan(series.values))[1])
        later = dataclasses.replace(watching, series=_from(series, second))
        values[:, 0] = whole - _medians(predictor, later, [later.series])[0]
    return values


def covariate_contributions(predictor: Predictor, watching: Watched) -> dict[str, Tensor]:
    """By name (K, T + K): by how much each covariate raises the forecast, see `ForecastInspection`."""
    preprocessing, series = predictor.preprocessing, watching.series
    ends = watching.begin, len(series) + preprocessing.horizon
    found: dict[str, Tensor] = {}
    numbers = [*preprocessing.covariates.means.tolist(), *[float(UNKNOWN)] * len(preprocessing.categories)]
    for column, (name, number) in enumerate(
        zip((*preprocessing.columns.covariates, *preprocessing.columns.categorical), numbers, strict=True)
    ):
        copies = [series, *(_with_covariate(series, position, column, number) for position in range(*ends))]
        whole, *rest = _medians(predictor, watching, copies)
        found[name] = (whole - torch.stack(rest)).T
    return found


def _without_value(series: Series, position: int) -> Series:
    values = series.values.copy()
    values[position] = np.nan
    return dataclasses.replace(series, values=values)


def _with_covariate(series: Series, position: int, column: int, number: float) -> Series:
    covariates = series.covariates.copy()
    covariates[position, column] = number
    return dataclasses.replace(series, covariates=covariates)


def _from(series: Series, first: int) -> Series:
    return dataclasses.replace(
        series, first=series.first + first, values=series.values[first:], covariates=series.covariates[first:]
    )


def _medians(predictor: Predictor, watching: Watched, copies: list[Series]) -> Tensor:
    """The medians (copies, K) of the forecasts after copies of the steps."""
    last = len(watching.series) - 1
    spans = [Span(position, watching.begin, last, last) for position in range(len(copies))]
    return roll(predictor, Panel(predictor.preprocessing, copies, watching.changes), spans, watching.state).middle
