"""A network trained on sequences of numbers, read from its run folder."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gatewise.data.in_memory import as_files, is_in_memory
from gatewise.data.numeric_sequences import numeric_lines
from gatewise.data.sequence_store import NumericSequence, stored
from gatewise.models.classifier import Classifier
from gatewise.models.tagger import Tagger
from gatewise.tasks.attribution import Inspection
from gatewise.tasks.feature_reader import FeatureReader
from gatewise.tasks.heads.head import BATCH
from gatewise.tasks.inspected import InspectionRequest
from gatewise.tasks.inspection import requested_report
from gatewise.tasks.numeric.corpus import read_sequences
from gatewise.tasks.numeric.options import NumericOptions
from gatewise.tasks.numeric.pipeline import NumericPipeline
from gatewise.tasks.prediction_io import in_groups, read_lines
from gatewise.tasks.trained_on_sequences import TrainedOnSequences


class TrainedOnNumbers(TrainedOnSequences):
    """The network of a run folder.

    `evaluate` gives ``accuracy`` of labels and of the most frequent one, and ``per_label`` (for each label
    ``precision``, ``recall``, ``f1`` and ``support``); of a number ``mae``, ``rmse`` and ``r2``; of the next step
    ``nats_per_step`` (binary), or ``mae`` and ``rmse`` in the units of the data and the ``mae`` of repeating the step
    before (real).

    Attributes:
        reader: the features of steps.
        head: what is predicted.
    """

    name = "numeric"
    pipeline_type = NumericPipeline
    options: NumericOptions
    reader: FeatureReader
    model: Classifier | Tagger

    def predict(self, sequences: Any) -> list[Any]:
        """What the network predicts for sequences.

        Args:
            sequences: sequences of steps of features, or a table in memory, which may have categorical columns. None
                and NaN are missing values.

        Returns:
            for each a `Prediction` (label and probability), `LabelledSteps`, a `Number`, or the `NextStep`.
        """
        if is_in_memory(sequences):
            with as_files(sequences, "sequences") as paths:
                return self._predicted(read_sequences(self.options, paths))
        return self._predicted(self._stored(sequences))

    def _predictions(self, paths: Sequence[Path]) -> Iterator[tuple[Mapping[str, Any], Any]]:
        if paths:
            examples = read_sequences(self.options, paths)
        else:
            lines = numeric_lines(read_lines(()), "standard input", self.options.columns)
            examples = stored(lines, self.options.categorical)
        self.reader.check(examples, "the sequences")
        for group in in_groups(examples, BATCH):
            yield from (({}, found) for found in self.head.predict(self.model, self.reader, group))

    def inspect(
        self,
        sequence: Sequence[Sequence[float]] | NumericSequence,
        *,
        steps: int = 2000,
        out: str | Path | None = None,
        features: Sequence[str] | None = None,
    ) -> Inspection:
        """Watch the network read a sequence, find which steps and features contribute to its predictions, and report.

        The predictions are the label or number of a sequence, the labels of its steps, or the features of the next
        step. A step is erased by making its features 0, which is their mean where they are scaled; so is a feature, at
        every step.

        Args:
            sequence: steps of features, as `predict` takes them.
            steps: the largest number of steps to read, from the beginning.
            out: the page of HTML to write, by default ``report.html`` in the run folder.
            features: names of the features; by default those that the model knows, or their numbers.

        Raises:
            ValueError: when ``steps`` is below 1, the sequence has no steps or other features than in training, or the
                folder of ``out`` is missing.
            OSError: when the report cannot be written.
        """
        report = requested_report(self.folder, out, steps)
        if isinstance(sequence, NumericSequence):
            example = sequence
        elif len(sequence):
            (example,) = self._stored([sequence])
        else:
            raise ValueError("the sequence has no steps; at least 1 is needed")
        self.reader.check([example], "the sequence")
        inputs, _ = self.reader.batch([example])
        names = features or self.options.feature_columns or example.feature_names
        names = names or tuple(map(str, range(1, self.reader.scaling.width + 1)))
        tokens = range(1, min(steps, example.length) + 1)
        return self._attributed([one[:steps] for one in inputs], tokens, report, self.reader.columns(names))

    def inspect_requested(self, request: InspectionRequest) -> Inspection:
        """Watch the network while it reads one sequence of files such as it was trained on, counted from 1.

        Raises:
            ValueError: as `inspect`; when other than files is requested, or these are malformed or have fewer
                sequences.
            OSError: when a file cannot be read.
        """
        request.check_supported(("series",), "it reads sequences; choose one with --sequence")
        if request.data is None or request.text is not None:
            raise ValueError("text: a model of numbers reads none; name a file of sequences with data (--data)")
        with as_files(request.data) as paths:
            sequences = read_sequences(self.options, paths)
        number = 1 if request.sequence is None else request.sequence
        if not 1 <= number <= len(sequences):
            raise ValueError(f"sequence: expected a number from 1 to {len(sequences)}, got {number}")
        return self.inspect(sequences[number - 1], **request.limits())

    def _stored(self, sequences: Sequence[Sequence[Sequence[float]]]) -> list[NumericSequence]:
        """Sequences of steps of features, with their widths checked."""
        if self.options.categorical:
            names = ", ".join(self.options.categorical)
            raise ValueError(f"this model reads categorical columns ({names}); give it files or a table with them")
        arrays = [np.asarray(steps, np.float64) for steps in sequences]
        for steps in arrays:
            self.reader.scaling.scaled(steps)
        return stored((steps, [], {}) for steps in arrays)

    def _predicted(self, examples: Sequence[NumericSequence]) -> list[Any]:
        self.reader.check(examples, "the sequences")
        return self.head.predict(self.model, self.reader, examples)


TRAINED = TrainedOnNumbers
