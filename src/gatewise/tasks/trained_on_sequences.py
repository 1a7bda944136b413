"""Trained models that label, tag or predict whole sequences, and their evaluation."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from gatewise.tasks.attribution import Inspection, inspect_predictions
from gatewise.tasks.inspection import Report, one_text, requested_report
from gatewise.tasks.prediction_formats import written
from gatewise.tasks.sequence_pipeline import SequencePipeline
from gatewise.tasks.trained import Scores, Trained


class TrainedOnSequences(Trained):
    """A model whose scores are those of examples.

    Attributes:
        pipeline: converts examples.
        reader: the tokens, or the features.
        head: what is predicted.
    """

    pipeline_type: ClassVar[type[SequencePipeline[Any, Any]]]
    reader: Any
    head: Any

    def _read_vocabulary(self) -> None:
        self.pipeline = self.pipeline_type.load(self.options, self.folder)
        self.reader, self.head = self.pipeline.reader, self.pipeline.head

    def _make_model(self) -> Any:
        return self.pipeline.make_model()

    @property
    def has_probabilities(self) -> bool:
        return self.head.has_probabilities

    def evaluate(self, data: Any = None) -> Scores:
        """Score examples.

        Args:
            data: files such as the training data, or a table in memory; by default what the run held out, and the other
                data that it is to be scored on.

        Returns:
            for each part of the data its scores, which the class describes.

        Raises:
            ValueError: when the data is malformed, has no known label, or has changed since the run.
            OSError: when a file cannot be read.
        """
        with self._to_evaluate(data) as parts:
            return self._scores_of(parts)

    @contextmanager
    def _to_evaluate(self, data: Any) -> Iterator[Mapping[str, Sequence[Any]]]:
        parts = self._parts(data)
        for name, examples in parts.items():
            self.pipeline.check(name, examples)
        yield parts

    def _scores_of(self, read: Mapping[str, Sequence[Any]], **search: Any) -> Scores:
        return {name: self._score(examples) for name, examples in read.items()}

    def finish(self, scored: Mapping[str, Sequence[Any]]) -> Scores:
        """The scores; confusion matrices of labels are plotted into the run folder."""
        folder = self.folder.path
        return {name: self._score(examples, folder / f"confusion_{name}.png") for name, examples in scored.items()}

    def _parts(self, data: Any) -> dict[str, Sequence[Any]]:
        """The examples to be scored, by the name of the part."""
        return self._to_score(
            data, self.pipeline.read_files, lambda known: self.pipeline.read_corpus(self.options, known)
        )

    def _score(self, examples: Sequence[Any], plot: Path | None = None) -> dict[str, Any]:
        encoded = self.pipeline.encode(examples)
        return {**self.pipeline.counts(encoded), **self.head.scores(self.model, encoded, plot)}

    def predict_files(
        self, paths: Sequence[Path] = (), format: str | None = None, *, probabilities: bool = False
    ) -> Iterator[str] | Iterator[bytes]:
        """The predictions for the contents of files, as the content of a file.

        Args:
            paths: files such as the model was trained on; of texts also files with a text per line. Without any the
                standard input is read: a text per line, or a sequence of numbers per line, as JSON.
            format: "jsonl" (the default), "csv", where labels of steps have a row each, or "parquet".
            probabilities: whether to write the probability of every label, where there are labels.

        Raises:
            ValueError: for another format, or malformed data.
            OSError: when a file cannot be read.
        """
        rows = (
            {**read, **row}
            for number, (read, found) in enumerate(self._predictions(paths), 1)
            for row in self.head.output_rows(found, number, probabilities=probabilities, cells=format == "csv")
        )
        return written(rows, format)

    def _predictions(self, paths: Sequence[Path]) -> Iterable[tuple[Mapping[str, Any], Any]]:
        """For each input in files what output rows repeat of it, and the prediction; None for a text without a word."""
        raise NotImplementedError

    def _inspect_tokens(
        self, text: str | Sequence[Any], steps: int, longest: int, out: str | Path | None
    ) -> Inspection:
        """Watch the model read a text, or a row of words, of at most `steps` and `longest` tokens."""
        report = requested_report(self.folder, out, steps)
        inputs, tokens = one_text(self.reader, text, min(steps, longest))
        return self._attributed(inputs, tokens, report)

    def _attributed(
        self,
        inputs: Sequence[Tensor],
        tokens: Sequence[Any],
        report: Report,
        features: Mapping[str, Sequence[int]] | None = None,
    ) -> Inspection:
        """The contributions of the steps and features of one sequence to its predictions, see `inspect_predictions`."""
        with torch.no_grad():
            x = self.model.steps(*inputs)
        target = self.head.attribution_target(self.model, self.reader, x, list(features or {}))
        return inspect_predictions(self.model, x, tokens, target, report, features)
