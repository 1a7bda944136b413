"""Training a network of forecasts: the job that the options describe."""

import dataclasses

from gatewise.data.vocabulary_file import read_parts, to_json
from gatewise.models.forecaster import Forecaster
from gatewise.progress import say
from gatewise.tasks.forecasting.backtest import roll
from gatewise.tasks.forecasting.batches import SpanBatches, spans_to_learn
from gatewise.tasks.forecasting.corpus import Scored, read_corpus
from gatewise.tasks.forecasting.network import MEASURE, begin_as_linear, make_model, outcome_of, output_for
from gatewise.tasks.forecasting.options import ForecastOptions
from gatewise.tasks.forecasting.panel import Panel
from gatewise.tasks.forecasting.preprocessing import Recipe
from gatewise.tasks.forecasting.sampling import Predictor
from gatewise.tasks.forecasting.splits import scored_spans
from gatewise.tasks.forecasting.trained import TrainedForecaster
from gatewise.tasks.memory import planned
from gatewise.tasks.run_folder import RunFolder
from gatewise.tasks.sequence_module import SequenceModule
from gatewise.tasks.task import Job, Task, cost_of
from gatewise.tasks.time_limit import Trial

_TRIED = 16
"""Forecasts of a trial."""


def prepare(options: ForecastOptions, folder: RunFolder | None) -> Job:
    """The job of training a network of forecasts, see `Prepare`."""
    corpus = read_corpus(options)
    for note in corpus.notes:
        say(f"warning: {note}")
    recipe = corpus.recipe if folder is None else read_parts(folder.vocabulary, Recipe)["recipe"]
    settled = corpus.options
    model = planned(lambda: make_model(settled, recipe), settled, folder)
    # Series are cut where learning ends: nothing of what comes later is even in memory.
    learning = Panel(
        dataclasses.replace(recipe, horizon=model.horizon),
        [one.until(end.learned) for one, end in zip(corpus.series, corpus.ends, strict=True)],
    )
    deciding = Panel(
        dataclasses.replace(recipe, horizon=model.horizon),
        [one.until(end.decided) for one, end in zip(corpus.series, corpus.ends, strict=True)],
    )
    spans = spans_to_learn([end.learned for end in corpus.ends], recipe.window, settled.batch)
    batches = SpanBatches(learning, spans, settled.batch, seed=settled.seed)
    held_out = SpanBatches(deciding, scored_spans(corpus.ends, model.horizon, "held_out"), 64)
    output = output_for(settled)
    begin_as_linear(model, output, learning, spans)
    measure = dataclasses.replace(MEASURE, loss_unit=output.loss_unit)
    total_steps = settled.steps(len(batches))
    module = SequenceModule(model, outcome_of(model, output), settled, measure, total_steps)
    scored = corpus.scored
    to_learn, decided, whole = (sum(counts) for counts in zip(*corpus.ends, strict=True))
    return Job(
        settled,
        module,
        batches,
        held_out,
        to_json({"recipe": recipe}),
        corpus.source,
        corpus.hashes,
        (
            f"series: {len(corpus.series):,}, steps of {recipe.grid.title}; to learn from {to_learn:,}, "
            f"held out {decided - to_learn:,}, test {whole - decided:,}",
            f"horizon {recipe.horizon}, season {recipe.season}, window {recipe.window}; "
            f"calendar: {', '.join(recipe.cycles) or 'none'}; covariates: {recipe.future_size}",
        ),
        scored,
        cost_of({part: range(sum(span.forecasts for span in spans)) for part, spans in scored.spans.items()}),
        trial(settled, recipe, model, scored),
    )


def trial(options: ForecastOptions, recipe: Recipe, model: Forecaster, scored: Scored) -> Trial:
    """Some forecasts and their scores, which take longer than what training and the held-out score read."""
    spans = [span for part in scored.spans.values() for span in part]
    span = max(spans, key=lambda span: span.forecasts)
    some = span.shortened(_TRIED / span.forecasts)
    some = some._replace(series=0, begin=max(some.begin, some.first - recipe.window))
    predictor = Predictor(model, output_for(options), recipe, options.levels, options.strategy == "recursive")
    panel = Panel(recipe, [scored.series[span.series]])
    return Trial(
        lambda: roll(predictor, panel, [some]).scores(), sum(span.forecasts for span in spans) / some.forecasts
    )


TASK = Task(prepare, TrainedForecaster)
