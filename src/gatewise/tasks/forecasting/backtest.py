"""Forecasts from every step of spans of series, by running over each series once."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from gatewise.data.batches import Batch
from gatewise.layers.validation import State
from gatewise.models.forecaster import Forecaster
from gatewise.progress import Progress
from gatewise.tasks.forecasting.batches import Span, SpanBatches
from gatewise.tasks.forecasting.corpus import Scored
from gatewise.tasks.forecasting.network import in_rows, predictions_at
from gatewise.tasks.forecasting.panel import Panel
from gatewise.tasks.forecasting.sampling import Predictor, sample_quantiles
from gatewise.tasks.forecasting.score_sums import ScoreSums
from gatewise.tasks.forecasting.scores import BackTest

# Steps of all series of a batch together.
_MAX_STEPS = 200_000
# Numbers that memory easily holds: quantiles of the forecasts of a back-test, and what a panel has of the steps.
_MAX_NUMBERS, _NUMBERS_OF_STEP = 2_000_000, 10


def back_tests(predictor: Predictor, scored: Scored, spans: Sequence[Span], what: str) -> Iterator[BackTest]:
    """Forecasts of some series at a time, so that all of them may be more than memory holds.

    Args:
        predictor: what forecasts.
        scored: the series.
        spans: the forecasts of each.
        what: what progress calls it.
    """
    with Progress(what, "series", len(spans)) as progress:
        group, size = list[Span](), 0
        for span in spans:
            more = _size(predictor, span)
            if group and size + more > _MAX_NUMBERS:
                yield back_test(predictor, scored, group, progress.advance)
                group, size = [], 0
            group.append(span)
            size += more
        yield back_test(predictor, scored, group, progress.advance)


def back_test(
    predictor: Predictor, scored: Scored, spans: Sequence[Span], advance: Callable[[int, int], None] = lambda *_: None
) -> BackTest:
    """Forecasts of spans of series, all together; their numbers in it are those of the spans.

    Args:
        predictor, scored, spans: see `back_tests`.
        advance: receives the number of series, twice, as forecasts of these have been made.
    """
    panel = Panel(predictor.preprocessing, [scored.series[span.series] for span in spans])
    numbered = [span._replace(series=number) for number, span in enumerate(spans)]
    learned = None if scored.learned is None else [scored.learned[span.series] for span in spans]
    return dataclasses.replace(roll(predictor, panel, numbered, advance=advance), learned=learned)


def scores_of(tests: Iterable[BackTest]) -> dict[str, Any]:
    """The scores of all of some back-tests, at least one, of different series; see `ScoreSums.scores`."""
    return reduce(ScoreSums.plus, (test.score_sums for test in tests)).scores()


def sample_of(predictor: Predictor, spans: Sequence[Span]) -> Sequence[Span]:
    """As many of the spans, evenly spread, as memory easily holds the forecasts of; at least one."""
    return spans[:: -(-sum(_size(predictor, span) for span in spans) // _MAX_NUMBERS)]


def _size(predictor: Predictor, span: Span) -> int:
    return span.forecasts * predictor.preprocessing.horizon * len(predictor.levels) + _NUMBERS_OF_STEP * (span.last + 1)


def roll(
    predictor: Predictor,
    panel: Panel,
    spans: Sequence[Span],
    state: State | None = None,
    advance: Callable[[int, int], None] = lambda *_: None,
) -> BackTest:
    """Forecast from every step of spans; nothing after that step is read but what is known of it beside its value.

    Args:
        predictor: what forecasts.
        panel: the series.
        spans: the steps; each is read from the beginning of the span on.
        state: the state (L, 1, H) that all spans start from; by default zero.
        advance: see `back_test`.
    """
    longest = max(span.last + 1 - span.begin for span in spans)
    size = max(1, min(64, _MAX_STEPS // longest))
    batches = SpanBatches(panel, spans, size)
    origins: list[Tensor] = []
    quantiles: list[Tensor] = []
    with torch.no_grad(), predictor.model.encoder.recurrent.frozen():
        for start in range(0, len(spans), size):
            group = range(start, min(start + size, len(spans)))
            batch, positions, is_predicted = batches.batch_of(group)
            positions = positions[is_predicted]
            origins.append(positions)
            if predictor.recursive:
                quantiles.append(_step_by_step(predictor, panel, batch, positions, is_predicted, state))
            else:
                predicted = predictor.output.quantiles(
                    predictions_at(predictor.model, batch, state)[is_predicted], predictor.levels
                )
                quantiles.append(panel.scale_at(positions).unscaled(predicted))
            advance(len(group), len(group))
    positions = torch.cat(origins)
    test = BackTest(
        panel, panel.series_at(positions), positions, predictor.levels, torch.cat(quantiles), panel.to_come(positions)
    )
    return test if predictor.calibration is None else predictor.calibration.of(test)


def _step_by_step(
    predictor: Predictor, panel: Panel, batch: Batch, positions: Tensor, is_predicted: Tensor, before: State | None
) -> Tensor:
    x = batch.inputs[0].to(predictor.model.blend.dtype)
    first = len(x) - len(is_predicted) // x.shape[1]
    hidden, states = _states_from(predictor.model, x, batch.lengths, first, in_rows(before, x.shape[1]))
    of_steps = is_predicted.unflatten(0, (-1, x.shape[1]))
    some = torch.cat([state[:, :, row] for state, row in zip(states, of_steps, strict=True)], 2)
    state = tuple(some.unbind(0)) if len(some) > 1 else some[0]
    buffer = panel.before(positions, predictor.buffer_width)
    return sample_quantiles(
        predictor,
        hidden.flatten(0, 1)[is_predicted],
        state,
        buffer,
        panel.array_at("usual", positions),
        panel.known_to_come(positions),
    )


def _states_from(
    model: Forecaster, x: Tensor, lengths: Tensor, first: int, state: State | None
) -> tuple[Tensor, list[Tensor]]:
    """Hidden states (T − first, B, H), and the states (S, L, B, H), after each step from `first` on."""
    if first:
        _, state = model.read(x[:first], lengths.clamp(max=first), state=state)
    hidden: list[Tensor] = []
    states: list[Tensor] = []
    for step in x[first:]:
        output, state = model.step(step, state)
        hidden.append(output)
        states.append(torch.stack((state,) if isinstance(state, Tensor) else state))
    return torch.stack(hidden), states
