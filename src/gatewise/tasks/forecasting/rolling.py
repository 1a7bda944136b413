"""Forecasts from every step of spans of series, by running over each series once."""

from collections.abc import Sequence

import torch
from torch import Tensor

from gatewise.models.forecaster import Forecaster
from gatewise.tasks.forecasting.batches import Span, SpanBatches
from gatewise.tasks.forecasting.network import told_at
from gatewise.tasks.forecasting.outputs import Output
from gatewise.tasks.forecasting.panel import Panel
from gatewise.tasks.forecasting.scores import BackTest

# Steps of all series of a batch together.
_MOST_STEPS = 200_000


def roll(model: Forecaster, output: Output, panel: Panel, spans: Sequence[Span], levels: tuple[float, ...]) -> BackTest:
    """Forecast from every step of spans; nothing after that step is read.

    Args:
        model: in evaluation mode.
        output: what its numbers mean.
        panel: the series.
        spans: the steps; each is read from the beginning of the span on.
        levels: of the quantiles.
    """
    longest = max(span.last + 1 - span.begin for span in spans)
    size = max(1, min(64, _MOST_STEPS // longest))
    batches = SpanBatches(panel, spans, size)
    origins: list[Tensor] = []
    quantiles: list[Tensor] = []
    with torch.no_grad():
        for at in range(0, len(spans), size):
            batch, places = batches.at(range(at, min(at + size, len(spans))))
            told = output.quantiles(told_at(model, batch), levels)
            origins.append(places)
            quantiles.append(panel.scale_at(places).unscaled(told))
    places = torch.cat(origins)
    series = torch.bucketize(places, torch.tensor(panel.begins), right=True) - 1
    return BackTest(panel, series, places, levels, torch.cat(quantiles), panel.to_come(places))
