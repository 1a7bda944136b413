"""A trained model, read from its run folder. Opening one loads nothing of what training needs."""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, ClassVar

from gatewise.data.batches import spread
from gatewise.data.in_memory import as_files
from gatewise.data.text import check_characters, read_text
from gatewise.kernels import Precision
from gatewise.layers.base import RecurrentBase
from gatewise.tasks.checkpoint_io import (
    check_unchanged,
    check_vocabulary,
    check_weights_exist,
    load_best_model,
    read_options,
)
from gatewise.tasks.inspected import Inspected, InspectionRequest
from gatewise.tasks.prediction_formats import ROW_FORMATS, Endings, format_of
from gatewise.tasks.prediction_request import SEARCH, WRITING, PredictionRequest
from gatewise.tasks.requests import check_supported
from gatewise.tasks.run_folder import RunFolder
from gatewise.tasks.task_names import package_of

_MIN_EXAMPLES = 16

Scores = dict[str, dict[str, Any]]
"""For each part of the data numbers by name; ``per_label`` and its like have numbers by the name of the class."""


class Trained(ABC):
    """The trained model of a run folder, with its best weights, on the processor.

    Attributes:
        name: of the task.
        reads_columns: whether files may have a word per line and columns.
        formats: the formats of predictions, with the endings of the files that have them.
        output_unit: what `gatewise predict` writes, in the plural, for its progress bar.
        follows: whether it can predict for streaming rows.
        searches: whether predictions are searched for, with a beam and a length penalty that can be chosen.
        folder: the run folder.
        options: the resolved options of the run.
        model: the model, in evaluation mode.

    Args:
        folder: the run folder.

    Raises:
        ValueError: when the folder is missing or of another task, or a file in it is corrupt or foreign.
        OSError: when a file cannot be read.
    """

    name: ClassVar[str]
    reads_columns: ClassVar[bool] = False
    formats: ClassVar[Endings] = ROW_FORMATS
    output_unit: ClassVar[str] = "predictions"
    follows: ClassVar[bool] = False
    searches: ClassVar[bool] = False
    options: Any
    model: Any

    def __init__(self, folder: str | Path) -> None:
        self.folder = RunFolder(Path(folder))
        self.options = read_options(self.folder, self.name)
        check_weights_exist(self.folder)
        check_vocabulary(self.folder)
        self._read_vocabulary()
        self.model = load_best_model(self.folder, self.options, self._make_model)

    @abstractmethod
    def _read_vocabulary(self) -> None:
        """Read what turns data into numbers."""

    @abstractmethod
    def _make_model(self) -> Any:
        """Make the model that the options and the vocabulary describe."""

    def _to_score(
        self,
        data: Any,
        read_files: Callable[[Sequence[Path]], Any],
        read_corpus: Callable[[Mapping[str, str]], Any],
    ) -> dict[str, Any]:
        """The examples of some data, or those of the run that are not training data, by the name of the part."""
        if data is None:
            return check_unchanged(self.folder, read_corpus(self.folder.hashes())).scored
        with as_files(data) as paths:
            return {"data": read_files(paths)}

    @abstractmethod
    def evaluate(self, data: Any = None) -> Scores:
        """The scores on data, files or a table in memory, or on what the run held out."""

    @abstractmethod
    def _to_evaluate(self, data: Any) -> AbstractContextManager[Any]:
        """Read what `evaluate` scores, for a ``with`` block."""

    @abstractmethod
    def _scores_of(self, read: Any, **search: Any) -> Scores:
        """The scores of what has been read, as of `evaluate`."""

    def evaluate_in(self, precisions: Sequence[Precision | None], data: Any = None, **search: Any) -> list[Scores]:
        """The scores of `evaluate` in several precisions, of data that is read once; see `in_precision`."""
        found: list[Scores] = []
        with self._to_evaluate(data) as read:
            for precision in precisions:
                with self.in_precision(precision):
                    found.append(self._scores_of(read, **search))
        return found

    @contextmanager
    def in_precision(self, precision: Precision | None) -> Iterator[None]:
        """Multiply in this precision in the recurrent layers within a ``with`` block; see `Recurrent.frozen`.

        Args:
            precision: ``"int8"``, ``"bf16"``, or None for that of the weights.

        Raises:
            ValueError: for another precision.
        """
        with ExitStack() as layers:
            if precision is not None:
                for layer in self.model.modules():
                    if isinstance(layer, RecurrentBase):
                        layers.enter_context(layer.frozen(precision=precision))
            yield

    @property
    def export_details(self) -> Mapping[str, Any]:
        """What an exported file says beside configuration and vocabulary, as JSON values by name."""
        return {}

    @property
    def has_probabilities(self) -> bool:
        """Whether a prediction is one of several, whose probabilities can be written."""
        return False

    def predict_requested(self, request: PredictionRequest) -> Iterable[str | bytes]:
        """What `gatewise predict` writes, piece by piece.

        Raises:
            ValueError: for an option that the model does not have, or as its method ``predict_files``.
            OSError: when a file cannot be read.
        """
        self._check_predictable(request)
        options = request.given((*SEARCH, "input", "probabilities"))
        return self.predict_files(request.data, self._format_of(request), **options)

    def predict_files(self, *read: Any, **options: Any) -> Iterable[str | bytes]:
        """The predictions for the contents of files, as text or bytes."""
        raise ValueError(f"a model of the task {self.name} has no answers to files")

    def check_search(self, search: Mapping[str, object]) -> None:
        """Check that the model has a beam search, where options of the search are given.

        Raises:
            ValueError: when it does not.
        """
        if not self.searches:
            check_supported(search, SEARCH, "it has no beam search")

    def _check_predictable(self, request: PredictionRequest) -> None:
        self.check_search(request.given(SEARCH))
        if not self.reads_columns:
            request.check_supported(("input",), "only a tagger reads columns")
        if not self.has_probabilities:
            request.check_supported(("probabilities",), "it predicts no labels, tags or texts")
        request.check_supported(WRITING, "only a language model generates text")
        if not self.follows:
            request.check_supported(("follow",), "only a forecaster follows incoming rows")

    def _format_of(self, request: PredictionRequest) -> str | None:
        """The format of the predictions, None for the model's own."""
        if request.out is not None:
            return format_of(request.out, self.formats, request.format)
        if request.format == "parquet":
            raise ValueError("--format parquet: a Parquet file is binary; name it with --out")
        return request.format

    def inspect_requested(self, request: InspectionRequest) -> Inspected:
        """Watch the model while it reads what is requested: by default a text, text files or a table.

        Raises:
            ValueError: for a request that the model cannot fulfil, or as its method ``inspect``.
            OSError: when a file cannot be read or written.
        """
        request.check_supported(("series",), "it reads text")
        request.check_supported(("sequence",), "it does not read sequences of numbers")
        if (request.text is None) == (request.data is None):
            raise ValueError(
                "give either text or data (on the command line --text or --data): what the model is to read"
            )
        if request.text is not None:
            return self.inspect(check_characters(request.text, "--text"), **request.limits())
        with as_files(request.data) as paths:
            return self.inspect(self.text_of(paths), **request.limits())

    @abstractmethod
    def inspect(self, *read: Any, **options: Any) -> Inspected:
        """Watch the model while it reads, forward and backward, and write a report."""

    def text_of(self, paths: Sequence[Path]) -> str | Iterable[str]:
        """What `inspect` of a model of texts reads of files.

        Raises:
            ValueError: when a file is empty or not UTF-8.
            OSError: when a file cannot be read.
        """
        return read_text(paths)

    @abstractmethod
    def finish(self, scored: Any) -> Scores:
        """The scores once training has ended, as of `evaluate`; whatever else belongs in the folder is left there.

        Args:
            scored: the data to score, as training has read it.
        """

    def final_notice(self) -> str:
        """What the command line prints of the model at the end of training, besides its scores."""
        return ""

    def subsample(self, scored: Any, share: float) -> Any:
        """A share of such data, spread over all of it."""
        return {name: _subsample(part, share) for name, part in scored.items()}

    def final_scores(self) -> Scores:
        """The scores that were written when training ended, as `evaluate` gave them.

        Raises:
            ValueError: when they are corrupt.
            OSError: when training has not ended yet.
        """
        return self.folder.read_scores()["scores"]


def _subsample(part: Sequence[Any], share: float) -> Sequence[Any]:
    count = min(len(part), max(int(len(part) * share), _MIN_EXAMPLES))
    return [part[index] for index in spread(len(part), count)]


def trained_of(name: str) -> type[Trained]:
    """The class of a task's trained models.

    Raises:
        ValueError: when there is no such task.
    """
    return importlib.import_module(f"{package_of(name)}.trained").TRAINED
