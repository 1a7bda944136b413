"""Training a network of forecasts: the job that the options describe."""

import dataclasses

from gatewise.data.vocabulary_file import read_parts, to_json
from gatewise.models.forecaster import Forecaster
from gatewise.progress import say
from gatewise.tasks import data_cache
from gatewise.tasks.forecasting.backtest import roll
from gatewise.tasks.forecasting.batches import SpanBatches, spans_to_learn
from gatewise.tasks.forecasting.corpus import Scored, read_corpus
from gatewise.tasks.forecasting.network import MEASURE, begin_as_linear, make_model, output_for, statistics_of
from gatewise.tasks.forecasting.options import ForecastOptions
from gatewise.tasks.forecasting.panel import Panel
from gatewise.tasks.forecasting.preprocessing import Preprocessing
from gatewise.tasks.forecasting.sampling import Predictor
from gatewise.tasks.forecasting.splits import scored_spans
from gatewise.tasks.forecasting.trained import TrainedForecaster
from gatewise.tasks.memory import make_checked
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
    preprocessing = corpus.preprocessing if folder is None else read_parts(folder.vocabulary, Preprocessing)["recipe"]
    settled = corpus.options
    model = make_checked(lambda: make_model(settled, preprocessing), settled, folder)
    panel = data_cache.mapped("series", lambda folder: Panel(preprocessing, corpus.series, make_folder=folder))
    ahead = dataclasses.replace(preprocessing, horizon=model.horizon)
    learning = panel.until([end.learned for end in corpus.ends], ahead)
    deciding = panel.until([end.decided for end in corpus.ends], ahead)
    spans = spans_to_learn([end.learned for end in corpus.ends], preprocessing.window, settled.batch)
    batches = SpanBatches(learning, spans, settled.batch, seed=settled.seed)
    held_out = SpanBatches(deciding, scored_spans(corpus.ends, model.horizon, "held_out"), 64)
    output = output_for(settled)
    begin_as_linear(model, output, learning, spans)
    measure = dataclasses.replace(MEASURE, loss_unit=output.loss_unit)
    total_steps = settled.steps(len(batches))
    module = SequenceModule(model, statistics_of(model, output), settled, measure, total_steps)
    scored = corpus.scored
    learned, decided, total = (sum(counts) for counts in zip(*corpus.ends, strict=True))
    return Job(
        settled,
        module,
        batches,
        held_out,
        to_json({"recipe": preprocessing}),
        corpus.source,
        corpus.hashes,
        (
            f"series: {len(corpus.series):,}, steps of {preprocessing.grid.title}; to learn from {learned:,}, "
            f"held out {decided - learned:,}, test {total - decided:,}",
            f"horizon {preprocessing.horizon}, season {preprocessing.season}, window {preprocessing.window}; "
            f"calendar: {', '.join(preprocessing.cycles) or 'none'}; covariates: {preprocessing.future_size}",
        ),
        scored,
        cost_of({part: range(sum(span.forecasts for span in spans)) for part, spans in scored.spans.items()}),
        trial(settled, preprocessing, model, scored),
    )


def trial(options: ForecastOptions, preprocessing: Preprocessing, model: Forecaster, scored: Scored) -> Trial:
    """Some forecasts and their scores, which take longer than what training and the held-out score read."""
    spans = [span for part in scored.spans.values() for span in part]
    span = max(spans, key=lambda span: span.forecasts)
    some = span.shortened(_TRIED / span.forecasts)
    some = some._replace(series=0, begin=max(some.begin, some.first - preprocessing.window))
    predictor = Predictor(model, output_for(options), preprocessing, options.levels, options.strategy == "recursive")
    panel = Panel(preprocessing, [scored.series[span.series]])
    return Trial(
        lambda: roll(predictor, panel, [some]).scores(), sum(span.forecasts for span in spans) / some.forecasts
    )


TASK = Task(prepare, TrainedForecaster)
