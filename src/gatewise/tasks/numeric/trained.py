"""A network trained on sequences of numbers, read from its run folder."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gatewise.data.in_memory import as_files, is_in_memory
from gatewise.data.numeric_sequences import NumericSequence, Scaling, numeric_lines
from gatewise.data.vocabulary_file import read_parts
from gatewise.models.classifier import Classifier
from gatewise.models.tagger import Tagger
from gatewise.tasks.answer_formats import written
from gatewise.tasks.checkpoint_io import same_data
from gatewise.tasks.inspected import InspectionRequest
from gatewise.tasks.inspection import requested_report
from gatewise.tasks.numeric.corpus import read_corpus, read_sequences, with_features
from gatewise.tasks.numeric.inspection import NumericInspection, inspect_sequence
from gatewise.tasks.numeric.objectives import goal_of_parts
from gatewise.tasks.numeric.options import NumericOptions
from gatewise.tasks.prediction_io import read_standard_input
from gatewise.tasks.tagging.tag_set import TagSet
from gatewise.tasks.trained import Scores, Trained


class TrainedOnNumbers(Trained):
    """The network of a run folder."""

    name = "numeric"
    options: NumericOptions
    model: Classifier | Tagger

    def _read_vocabulary(self) -> None:
        self._goal = goal_of_parts(self.options, read_parts(self.folder.vocabulary, TagSet, Scaling))

    def _make_model(self) -> Classifier | Tagger:
        return self._goal.make_model()

    def evaluate(self, data: Any = None) -> Scores:
        """Score sequences.

        Args:
            data: files, or a table in memory; by default the held-out sequences of the run, and the others that it
                is to be scored on.

        Returns:
            for each part its scores: ``accuracy`` of labels beside that of the most frequent one, and ``per_label``
            (for each label ``precision``, ``recall``, ``f1`` and ``support``); of the next step ``nats_per_step``
            (binary), or ``mae`` and ``rmse`` in the units of the data beside the ``mae`` of the step before (real).

        Raises:
            ValueError: when the data is malformed, or has changed since the run.
            OSError: when a file cannot be read.
        """
        if data is not None:
            with as_files(data) as paths:
                parts = {"data": read_sequences(self.options, paths)}
        else:
            parts = same_data(self.folder, read_corpus(self.options)).scored
        for name, part in parts.items():
            self._goal.check(part, name)
        return self._scores(parts)

    def finish(self, scored: Mapping[str, list[NumericSequence]]) -> Scores:
        """The scores; confusion matrices of labels of sequences are left as pictures."""
        return self._scores(scored, self.folder.path)

    def _scores(self, parts: Mapping[str, list[NumericSequence]], folder: Path | None = None) -> Scores:
        return {name: self._goal.scores(self.model, part, name, folder) for name, part in parts.items()}

    @property
    def has_probabilities(self) -> bool:
        return self._goal.has_probabilities

    def predict(self, sequences: Any) -> list[Any]:
        """What the network tells of sequences of steps of features, or of those of a table in memory.

        Returns:
            for each a `Prediction` (label and probability), `LabelledSteps`, or the `NextStep`.
        """
        if is_in_memory(sequences):
            with as_files(sequences, "sequences") as paths:
                sequences = [steps for steps, _ in read_sequences(self.options, paths)]
        return self._goal.predict(self.model, sequences)

    def inspect(
        self,
        sequence: list[list[float]],
        *,
        steps: int = 2000,
        out: str | Path | None = None,
        features: Sequence[str] | None = None,
    ) -> NumericInspection:
        """Watch the network read a sequence, find which steps and features moved its answers, and write a report.

        Of a sequence's label and of labels of steps the answers are those labels; of the next step its features.

        Args:
            sequence: steps of features, as `predict` takes them.
            steps: the largest number of steps to read, from the beginning.
            out: the page of HTML to write, by default ``report.html`` in the run folder.
            features: names of the features; by default their numbers.

        Raises:
            ValueError: when ``steps`` is below 1, the sequence has no steps or other features than in training, or the
                folder of ``out`` is missing.
            OSError: when the report cannot be written.
        """
        report = requested_report(self.folder, out, steps)
        if not sequence:
            raise ValueError("the sequence has no steps; at least 1 is needed")
        (x,), _ = self._goal.reader.batch([self._goal.reader.read(sequence[:steps])])
        names = [str(number) for number in range(1, x.shape[2] + 1)] if features is None else list(features)
        return inspect_sequence(self.model, x, names, self._goal.question(self.model, x, names), report)

    def inspect_requested(self, request: InspectionRequest) -> NumericInspection:
        """Watch the network while it reads one sequence of files.

        Raises:
            ValueError, OSError: as `inspect_files`; when other than files is requested.
        """
        request.check_absent("series", ", which reads sequences; name one with sequence")
        if request.data is None or request.text is not None:
            raise ValueError("text: a model of numbers reads none; name a file of sequences with data (--data)")
        number = 1 if request.sequence is None else request.sequence
        with as_files(request.data) as paths:
            return self.inspect_files(paths, number, **request.limits())

    def inspect_files(
        self, paths: Sequence[Path], number: int = 1, *, steps: int = 2000, out: str | Path | None = None
    ) -> NumericInspection:
        """The same of a sequence in files such as it was trained on.

        Args:
            paths: the files.
            number: which of their sequences, counted from 1.
            steps, out: see `inspect`.

        Raises:
            ValueError: as `inspect`; when the files are malformed, or have fewer sequences.
            OSError: when a file cannot be read.
        """
        sequences = read_sequences(self.options, paths)
        if not 1 <= number <= len(sequences):
            raise ValueError(f"sequence: expected a number from 1 to {len(sequences)}, got {number}")
        sequence, _ = sequences[number - 1]
        features = with_features(self.options, paths).feature_columns
        return self.inspect(sequence, steps=steps, out=out, features=features or None)

    def answers(
        self, paths: Sequence[Path] = (), format: str | None = None, *, probabilities: bool = False
    ) -> Iterator[str] | Iterator[bytes]:
        """What the network tells of the sequences in files, as the content of a file.

        Args:
            paths: files such as it was trained on; without any the standard input is read, JSON lines with a sequence
                in each.
            format: "jsonl" (the default), "parquet", or "csv", where labels of steps have a row each.
            probabilities: whether to write the probability of every label, where there are labels.

        Raises:
            ValueError: for malformed data.
            OSError: when a file cannot be read.
        """
        if paths:
            examples: Iterable[NumericSequence] = read_sequences(self.options, paths)
        else:
            examples = numeric_lines(read_standard_input(), "standard input", self.options.label_column)
        sequences = (steps for steps, _ in examples)
        rows = self._goal.rows(self.model, sequences, probabilities=probabilities, cells=format == "csv")
        return written(rows, format)


TRAINED = TrainedOnNumbers
