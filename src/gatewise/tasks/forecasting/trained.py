"""A trained network of forecasts, read from its run folder."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gatewise.data.series import read_series
from gatewise.data.series_tables import as_tables
from gatewise.data.vocabulary_file import read_parts, to_json
from gatewise.tasks.forecasting.corpus import read_corpus
from gatewise.tasks.forecasting.network import make_model, output_for
from gatewise.tasks.forecasting.options import ForecastOptions
from gatewise.tasks.forecasting.panel import Panel
from gatewise.tasks.forecasting.parts import all_spans, scored_spans
from gatewise.tasks.forecasting.recipe import Recipe
from gatewise.tasks.forecasting.rolling import roll
from gatewise.tasks.forecasting.scores import BackTest
from gatewise.tasks.opening import check_same_data, check_weights_exist, load_best_weights, read_options
from gatewise.tasks.reporting import say
from gatewise.tasks.run_folder import RunFolder
from gatewise.tasks.task import Scores, Trained

NAME = "forecast"


class TrainedForecaster(Trained):
    """The network of a run folder, with its best weights, on the processor.

    Attributes:
        folder: the run folder.
        options: the resolved options of the run.
        recipe: how series are read.
        model: the model, in evaluation mode.

    Args:
        folder: the run folder.

    Raises:
        ValueError: when the folder is missing or of another task, or a file in it is corrupt or foreign.
        OSError: when a file cannot be read.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = RunFolder(Path(folder))
        self.options: ForecastOptions = read_options(self.folder, NAME)
        check_weights_exist(self.folder)
        self.recipe: Recipe = read_parts(self.folder.vocabulary, Recipe)["recipe"]
        self.model = make_model(self.options, self.recipe)
        load_best_weights(self.folder, to_json({"recipe": self.recipe}), self.model)

    @property
    def levels(self) -> tuple[float, ...]:
        """The levels of the quantiles that are told; the median alone where points are."""
        return (0.5,) if self.options.output == "point" else self.options.quantiles

    def evaluate(self, data: Any = None) -> Scores:
        """Score rolling forecasts, one from every step.

        Args:
            data: tables or a data frame; by default the last parts of the run's series.

        Returns:
            for each part ``series``, ``forecasts``, ``mae``, ``rmse``, ``mase``, ``smape``, and with intervals
            ``pinball`` and ``coverage`` of the widest; the same with ``baseline_`` of the seasonal naive forecast; and
            ``last_value_mae``, of the last value.

        Raises:
            ValueError: when the data is malformed or too short, or has changed since the run.
            OSError: when a file cannot be read.
        """
        return {name: test.scores() for name, test in self.back_tests(data).items()}

    def back_tests(self, data: str | Path | Iterable[str | Path] | Any = None) -> dict[str, BackTest]:
        """The forecasts that `evaluate` scores, and what came."""
        output, horizon = output_for(self.options), self.recipe.horizon
        if data is None:
            corpus = read_corpus(self.options)
            check_same_data(self.folder, corpus.source, corpus.hashes)
            panel = Panel(self.recipe, corpus.series)
            parts = {part: scored_spans(corpus.ends, horizon, part) for part in ("held_out", "test")}
        else:
            found = read_series(as_tables(data), self.recipe.columns, self.recipe.grid)
            for note in found.notes:
                say(f"warning: {note}")
            panel = Panel(self.recipe, found.series)
            parts = {"data": all_spans([len(one) for one in found.series], horizon, self.recipe.window)}
            if not parts["data"]:
                raise ValueError(
                    f"{found.series[0].name}: {len(found.series[0])} steps are too few to score forecasts of {horizon}"
                )
        return {
            part: roll(self.model, output, panel, spans, self.levels) for part, spans in parts.items() if spans
        }
