"""Forecasts from every step of spans of series, by running over each series once."""

from collections.abc import Sequence

import torch
from torch import Tensor

from gatewise.data.batches import Batch
from gatewise.layers.inputs import State
from gatewise.models.forecaster import Forecaster
from gatewise.tasks.forecasting.batches import Span, SpanBatches
from gatewise.tasks.forecasting.going_on import buffer_width, go_on
from gatewise.tasks.forecasting.network import told_at
from gatewise.tasks.forecasting.outputs import Output
from gatewise.tasks.forecasting.panel import Panel
from gatewise.tasks.forecasting.scores import BackTest

# Steps of all series of a batch together.
_MOST_STEPS = 200_000


def roll(
    model: Forecaster,
    output: Output,
    panel: Panel,
    spans: Sequence[Span],
    levels: tuple[float, ...],
    *,
    recursive: bool,
) -> BackTest:
    """Forecast from every step of spans; nothing after that step is read but what is known of it beside its value.

    Args:
        model: in evaluation mode.
        output: what its numbers mean.
        panel: the series.
        spans: the steps; each is read from the beginning of the span on.
        levels: of the quantiles.
        recursive: whether steps are told one by one, each from those told before.
    """
    longest = max(span.last + 1 - span.begin for span in spans)
    size = max(1, min(64, _MOST_STEPS // longest))
    batches = SpanBatches(panel, spans, size)
    origins: list[Tensor] = []
    quantiles: list[Tensor] = []
    with torch.no_grad():
        for at in range(0, len(spans), size):
            batch, places, is_told = batches.at(range(at, min(at + size, len(spans))))
            places = places[is_told]
            origins.append(places)
            if recursive:
                quantiles.append(_step_by_step(model, output, panel, batch, places, is_told, levels))
            else:
                told = output.quantiles(told_at(model, batch)[is_told], levels)
                quantiles.append(panel.scale_at(places).unscaled(told))
    places = torch.cat(origins)
    return BackTest(panel, panel.series_at(places), places, levels, torch.cat(quantiles), panel.to_come(places))


def _step_by_step(
    model: Forecaster,
    output: Output,
    panel: Panel,
    batch: Batch,
    places: Tensor,
    is_told: Tensor,
    levels: tuple[float, ...],
) -> Tensor:
    x = batch.inputs[0].to(model.blend.dtype)
    first = len(x) - len(is_told) // x.shape[1]
    hidden, states = _states_from(model, x, batch.lengths, first)
    told = is_told.unflatten(0, (-1, x.shape[1]))
    some = torch.cat([state[:, :, row] for state, row in zip(states, told, strict=True)], 2)
    state = tuple(some.unbind(0)) if len(some) > 1 else some[0]
    known = panel.beside(places)
    buffer = panel.before(places, buffer_width(panel.recipe))
    return go_on(model, output, panel.recipe, hidden.flatten(0, 1)[is_told], state, buffer, known, levels)


def _states_from(model: Forecaster, x: Tensor, lengths: Tensor, first: int) -> tuple[Tensor, list[Tensor]]:
    """Hidden states (T − first, B, H), and the states (S, L, B, H), after each step from `first` on."""
    state: State | None = None
    if first:
        _, state = model.read(x[:first], lengths.clamp(max=first))
    hidden: list[Tensor] = []
    states: list[Tensor] = []
    for step in x[first:]:
        output, state = model.step(step, state)
        hidden.append(output)
        states.append(torch.stack((state,) if isinstance(state, Tensor) else state))
    return torch.stack(hidden), states
