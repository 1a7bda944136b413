"""A trained network of forecasts, read from its run folder."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from gatewise.data.series import Series
from gatewise.data.series_columns import ROW
from gatewise.data.series_tables import Table, TextTable, as_tables
from gatewise.data.vocabulary_file import read_parts
from gatewise.models.forecaster import Forecaster
from gatewise.progress import say
from gatewise.tasks.checkpoint_io import check_unchanged
from gatewise.tasks.forecasting.backtest import back_test, back_tests, sample_of, scores_of
from gatewise.tasks.forecasting.batches import Span
from gatewise.tasks.forecasting.calibration import Calibration
from gatewise.tasks.forecasting.corpus import Corpus, Scored, read_corpus, read_mapped, unknown_values
from gatewise.tasks.forecasting.forecast import Forecast
from gatewise.tasks.forecasting.forecast_plot import plot_forecasts
from gatewise.tasks.forecasting.inspection import ForecastInspection, Watched, inspect_forecast
from gatewise.tasks.forecasting.network import make_model, output_for
from gatewise.tasks.forecasting.options import ForecastOptions
from gatewise.tasks.forecasting.preprocessing import Preprocessing
from gatewise.tasks.forecasting.sampling import Predictor
from gatewise.tasks.forecasting.scores import BackTest
from gatewise.tasks.forecasting.splits import all_spans
from gatewise.tasks.forecasting.streaming import LiveSeries, Rows, follow
from gatewise.tasks.inspected import InspectionRequest
from gatewise.tasks.inspection import requested_report
from gatewise.tasks.prediction_formats import written
from gatewise.tasks.prediction_io import read_standard_input, standard_input_lines
from gatewise.tasks.prediction_request import PredictionRequest
from gatewise.tasks.trained import Scores, Trained

_STANDARD_INPUT = "standard input"
_HELD_OUT = "held_out"


class TrainedForecaster(Trained):
    """The network of a run folder.

    Attributes:
        preprocessing: how series are read.
    """

    name = "forecast"
    follows = True
    options: ForecastOptions
    model: Forecaster

    def _read_vocabulary(self) -> None:
        self.preprocessing: Preprocessing = read_parts(self.folder.vocabulary, Preprocessing)["recipe"]

    def _make_model(self) -> Forecaster:
        return make_model(self.options, self.preprocessing)

    @cached_property
    def predictor(self) -> Predictor:
        """The network and how its forecasts are read off it."""
        return self._uncalibrated._replace(calibration=self._read_calibration())

    @property
    def _uncalibrated(self) -> Predictor:
        recursive = self.options.strategy == "recursive"
        return Predictor(self.model, output_for(self.options), self.preprocessing, self.options.levels, recursive)

    @property
    def _calibration_file(self) -> Path:
        return self.folder.path / "calibration.json"

    @property
    def _calibrates(self) -> bool:
        return self.options.calibrate and len(self.options.levels) > 1

    def _read_calibration(self) -> Calibration | None:
        if not self._calibrates:
            return None
        path, found = self._calibration_file, None
        if path.exists():
            found = Calibration.read(path, self.folder.weights, self.options.levels, self.preprocessing.horizon)
        if found is None:
            say(
                f"warning: {self.folder.path}: intervals are not calibrated: {path.name} is missing or of other weights"
            )
        return found

    def _calibrate(self, scored: Scored) -> dict[str, BackTest]:
        """Calibrate by forecasts of the held-out part, or of a sample of its series, and write that to the folder.

        Returns:
            the part with its forecasts, where these are all of it; otherwise nothing.
        """
        self.predictor = self._uncalibrated
        spans = scored.spans.get(_HELD_OUT, ())
        if not spans or not self._calibrates:
            return {}
        sample = sample_of(self.predictor, spans)
        if len(sample) < len(spans):
            say(f"intervals are calibrated by the held-out part of {len(sample):,} of {len(spans):,} series")
        test = back_test(self.predictor, scored, sample)
        found = Calibration.learn(test, say)
        found.write(self._calibration_file, self.folder.weights)
        self.predictor = self._uncalibrated._replace(calibration=found)
        return {_HELD_OUT: found.of(test)} if len(sample) == len(spans) else {}

    def evaluate(self, data: Any = None) -> Scores:
        """Score rolling forecasts, one from every step.

        Args:
            data: tables or a data frame; by default the last parts of the run's series.

        Returns:
            for each part ``series``, ``forecasts``, ``mae``, ``mse``, ``rmse``, ``mase``, ``smape``, ``scaled_mae`` and
            ``scaled_mse`` (in units of each series' standard deviation in the part that was learned from), and with
            intervals ``pinball`` and ``coverage`` of the widest; the same with ``baseline_`` of the seasonal naive
            forecast; ``uncalibrated_coverage``; ``last_value_mae``, of the last value; and ``per_step``, some of them
            for each step of the horizon.

        Raises:
            ValueError: when the data is malformed or too short, or has changed since the run.
            OSError: when a file cannot be read.
        """
        with self._to_evaluate(data) as scored:
            return self._scores_of(scored)

    @contextmanager
    def _to_evaluate(self, data: Any) -> Iterator[Scored]:
        yield self._scored(data)

    def _scores_of(self, read: Scored, **search: Any) -> Scores:
        return {part: scores_of(self._back_tests(read, spans)) for part, spans in read.spans.items()}

    def back_tests(self, data: Any = None) -> dict[str, BackTest]:
        """The forecasts that `evaluate` scores, and what came; all of them in memory."""
        scored = self._scored(data)
        return {part: back_test(self.predictor, scored, spans) for part, spans in scored.spans.items()}

    def _scored(self, data: Any) -> Scored:
        """What is to be scored of some data, or of the run's."""
        if data is None:
            return self._corpus().scored
        series = self._read(self._tables(data))
        spans = all_spans([len(one) for one in series], self.preprocessing)
        if not spans:
            raise ValueError(
                f"series {series[0].name!r}: {len(series[0])} steps are too few to score forecasts of "
                f"{self.preprocessing.horizon}"
            )
        return Scored(series, {"data": spans}, None)

    def _back_tests(self, scored: Scored, spans: Sequence[Span]) -> Iterator[BackTest]:
        """Forecasts of spans, as many at a time as memory easily holds."""
        return back_tests(self.predictor, scored, spans, "back-testing")

    def predict(self, data: Any = None) -> list[Forecast]:
        """Forecast what comes after the last value of each series.

        Args:
            data: tables or a data frame with the history of series; by default the run's own. Covariates of the steps
                to come are in rows without a value.

        Returns:
            a forecast for each series.

        Raises:
            ValueError: when the data is malformed, covariates of the steps to come are missing, or the run's data has
                changed since.
            OSError: when a file cannot be read.
        """
        return list(self._forecasts(self._corpus().series if data is None else self._read(self._tables(data))))

    def predict_files(self, paths: Sequence[Path] = (), format: str | None = None) -> Iterator[str] | Iterator[bytes]:
        """Forecasts as the content of a file, a row for each step to come.

        Args:
            paths: tables; without any, CSV is read from the standard input.
            format: "jsonl" (the default), "csv" or "parquet".

        Raises:
            ValueError, OSError: as `predict`.
        """
        tables = self._tables(paths) if paths else [self._standard_input()]
        return written((row for one in self._forecasts(self._read(tables)) for row in one.rows()), format)

    def predict_requested(self, request: PredictionRequest) -> Iterable[str | bytes]:
        """Forecasts of tables, or of rows from a stream, as `gatewise predict` writes them.

        Raises:
            ValueError, OSError: as `predict_files` and `follow`; for an option that the model does not have.
        """
        if not request.follow:
            return super().predict_requested(request)
        self._check_predictable(request)
        return self.follow(request.data, self._format_of(request))

    def follow(self, paths: Sequence[Path] = (), format: str | None = None) -> Iterator[str] | Iterator[bytes]:
        """Forecasts as rows come from the standard input, a line for each row; nothing is read twice.

        Covariates of steps to come are in rows without a value, before or after the row from which there is to be a
        forecast: it comes as soon as they are known for the whole horizon, and again when they change.

        A row that cannot be read, comes too late or is far from all others is skipped with a warning.

        Args:
            paths: tables with the history of the series, to be read before.
            format: "jsonl" (the default), "csv", or "parquet", which is complete when the input ends.

        Raises:
            ValueError: when the network reads covariates and rows have no time stamps, or a column is missing.
            OSError: when a file cannot be read.
        """
        preprocessing = self.preprocessing
        if preprocessing.known_ahead and preprocessing.columns.time == ROW:
            raise ValueError(
                "follow: this model reads covariates, and rows without time stamps cannot say which steps to come "
                "theirs are of; train with --time-column, or give a table without --follow"
            )
        series: dict[str, LiveSeries] = {}
        for one in self._read(self._tables(paths)) if paths else []:
            live = series[one.name] = LiveSeries(self.predictor)
            numbers = one.numbers(0, len(one.covariates)).tolist()
            for number, value, covariates in zip(numbers, one.values.tolist(), one.covariates, strict=False):
                live.read(number, value, covariates)
            for number, covariates in zip(numbers[len(one) :], one.covariates[len(one) :], strict=True):
                live.announce(number, covariates)
        rows = Rows(standard_input_lines(), _STANDARD_INPUT, preprocessing, self.options.table_format)
        predicted = (self._forecast(*found) for found in follow(rows, series, self.predictor))
        return written((one.row() for one in predicted), format)

    def inspect(
        self, data: Any = None, *, series: str | None = None, steps: int | None = None, out: str | Path | None = None
    ) -> ForecastInspection:
        """Watch the network read a series, attribute its forecast to past steps, and write a report.

        Args:
            data: tables or a data frame with the history of series; by default the run's own.
            series: the name of the one to read; by default the first.
            steps: how many of its steps to watch, the last ones; by default the window of the run.
            out: the page of HTML to write, by default ``report.html`` in the run folder.

        Raises:
            ValueError: when ``steps`` is below 2 or the series shorter, there is no series of that name, the folder of
                ``out`` is missing; or as `predict`.
            OSError: when a file cannot be read, or the report cannot be written.
        """
        steps = self.preprocessing.window if steps is None else steps
        report = requested_report(self.folder, out, steps, 2, "steps of a series")
        found = self._corpus().series if data is None else self._read(self._tables(data))
        one = next((one for one in found if series is None or one.name == series), None)
        if one is None:
            known = ", ".join(repr(one.name) for one in found[:20])
            raise ValueError(f"series: expected the name of one, such as {known}; got {series!r}")
        if len(one) < 2:
            raise ValueError(f"series {one.name!r} has 1 step; at least 2 are needed")
        if series is None and len(found) > 1:
            say(f"looking at {one.name!r}, the first of {len(found)} series; choose another with --series")
        (forecast,) = self._forecasts([one])
        return inspect_forecast(self.predictor, Watched.last(self.predictor, one, steps), forecast, report)

    def inspect_requested(self, request: InspectionRequest) -> ForecastInspection:
        """Watch the network while it reads a series.

        Raises:
            ValueError, OSError: as `inspect`; when a text or a numbered sequence is requested.
        """
        request.check_supported(("sequence",), "it does not read sequences of numbers")
        request.check_supported(("text",), "it reads series; give --data, or nothing")
        return self.inspect(request.data, series=request.series, **request.limits())

    @property
    def export_details(self) -> Mapping[str, Any]:
        """The levels of the quantiles, the last of whose axes forecasts have."""
        return {"levels": self.options.levels}

    def final_notice(self) -> str:
        """The plots of forecasts."""
        return f"forecasts: {', '.join(str(path) for path in sorted(self.folder.path.glob('forecasts_*.png')))}"

    def subsample(self, scored: Scored, share: float) -> Scored:
        """The first forecasts of each series in each part."""
        parts = {part: [span.shortened(share) for span in spans] for part, spans in scored.spans.items()}
        return scored._replace(spans=parts)

    def finish(self, scored: Scored) -> Scores:
        """The scores; the calibration of the intervals and a plot of forecasts of each part are written."""
        known = self._calibrate(scored)
        found: Scores = {}
        for part, spans in scored.spans.items():
            tests = iter([known[part]]) if part in known else self._back_tests(scored, spans)
            first = next(tests)
            plot_forecasts(first, self.folder.path / f"forecasts_{part}.png")
            found[part] = scores_of(itertools.chain([first], tests))
        return found

    def _tables(self, data: Any) -> list[Table]:
        return as_tables(data, self.options.table_format)

    def _standard_input(self) -> Table:
        return TextTable(_STANDARD_INPUT, read_standard_input(), format=self.options.table_format)

    def _corpus(self) -> Corpus:
        return check_unchanged(self.folder, read_corpus(self.options))

    def _read(self, tables: Sequence[Table]) -> Sequence[Series]:
        found = read_mapped(tables, self.preprocessing.columns, self.preprocessing.grid)
        series = self.preprocessing.series_of(found)
        for note in (*found.notes, *unknown_values(self.preprocessing, series)):
            say(f"warning: {note}")
        return series

    def _forecasts(self, series: Sequence[Series]) -> Iterator[Forecast]:
        self._check_known_ahead(series)
        spans = [Span(position, 0, len(one) - 1, len(one) - 1) for position, one in enumerate(series)]
        for test in back_tests(self.predictor, Scored(series, {}, None), spans, "forecasting"):
            found = {int(index): quantiles for index, quantiles in zip(test.series, test.quantiles, strict=True)}
            for position, one in enumerate(test.panel.series):
                yield self._forecast(one.name, one.first + len(one) - 1, found[position])

    def _check_known_ahead(self, series: Sequence[Series]) -> None:
        """Raise a ValueError where covariates of the steps to come are missing."""
        horizon = self.preprocessing.horizon
        for one in series if self.preprocessing.known_ahead else ():
            unknown = self.preprocessing.known(one, len(one), len(one) + horizon).isnan().any(1)
            if unknown.any():
                step = len(one) + int(unknown.nonzero()[0])
                stamp = self.preprocessing.grid.written(one.numbers(step, step + 1))[0]
                raise ValueError(
                    f"series {one.name!r}: no {', '.join(self.preprocessing.known_ahead)} at {stamp}; a forecast needs "
                    f"the covariates of all {horizon} steps to come: add rows with them, and no value"
                )

    def _forecast(self, name: str, last: int, quantiles: Tensor) -> Forecast:
        """The forecast (K, levels) from a step of the grid."""
        numbers = np.arange(last, last + 1 + self.preprocessing.horizon)
        after, *times = self.preprocessing.grid.written(numbers)
        columns = quantiles.T.tolist()
        others = {
            f"q{level:g}": column for level, column in zip(self.options.levels, columns, strict=True) if level != 0.5
        }
        return Forecast(name, after, times, columns[self.options.levels.index(0.5)], others)


TRAINED = TrainedForecaster
