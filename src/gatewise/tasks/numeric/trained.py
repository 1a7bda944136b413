"""A network trained on sequences of numbers, read from its run folder."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from gatewise.data.numeric_sequences import Scaling
from gatewise.data.vocabulary_file import read_parts, to_json
from gatewise.tasks.answers import in_groups, written
from gatewise.tasks.examples import as_paths
from gatewise.tasks.numeric.corpus import read_corpus, read_sequences
from gatewise.tasks.numeric.goal import BATCH
from gatewise.tasks.numeric.goals import goal_of_parts, parts_of
from gatewise.tasks.numeric.options import NumericOptions
from gatewise.tasks.opening import check_same_data, check_weights_exist, load_best_weights, read_options
from gatewise.tasks.run_folder import RunFolder
from gatewise.tasks.tagging.tag_set import TagSet
from gatewise.tasks.task import Scores, Trained

NAME = "numeric"


class TrainedOnNumbers(Trained):
    """The network of a run folder, with its best weights, on the processor.

    Attributes:
        folder: the run folder.
        options: the resolved options of the run.
        model: the model, in evaluation mode.

    Args:
        folder: the run folder.

    Raises:
        ValueError: when the folder is missing or of another task, or a file in it is corrupt or foreign.
        OSError: when a file cannot be read.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = RunFolder(Path(folder))
        self.options: NumericOptions = read_options(self.folder, NAME)
        check_weights_exist(self.folder)
        self._goal = goal_of_parts(self.options, read_parts(self.folder.vocabulary, TagSet, Scaling))
        self.model = self._goal.make_model()
        load_best_weights(self.folder, to_json(parts_of(self._goal)), self.model)

    def evaluate(self, data: str | Path | Iterable[str | Path] | None = None) -> Scores:
        """Score sequences.

        Args:
            data: files; by default the held-out sequences of the run, and the others that it is to be scored on.

        Returns:
            for each part its scores: ``accuracy`` of labels beside that of the most frequent one; of the next step
            ``nats_per_step`` (binary), or ``mae`` and ``rmse`` in the units of the data beside the ``mae`` of the step
            before (real).

        Raises:
            ValueError: when the data is malformed, or has changed since the run.
            OSError: when a file cannot be read.
        """
        if data is not None:
            parts = {"data": read_sequences(self.options, as_paths(data))}
        else:
            corpus = read_corpus(self.options)
            check_same_data(self.folder, corpus.source, corpus.hashes)
            parts = corpus.scored
        return {name: self._goal.scores(self.model, part, name) for name, part in parts.items()}

    def predict(self, sequences: Sequence[list[list[float]]]) -> list[Any]:
        """What the network tells of sequences of steps of features.

        Returns:
            for each a `Prediction` (label and probability), `LabelledSteps`, or the `NextStep`.
        """
        return self._goal.predict(self.model, sequences)

    def answers(self, paths: Sequence[Path] = (), format: str | None = None) -> Iterator[str]:
        """What the network tells of the sequences in files, as text.

        Args:
            paths: files such as it was trained on.
            format: "jsonl" (the default) or "csv".

        Raises:
            ValueError: without files, or for malformed data.
            OSError: when a file cannot be read.
        """
        if not paths:
            raise ValueError("data: name a file with sequences of numbers; the standard input is for text")
        sequences = (steps for steps, _ in read_sequences(self.options, paths))
        found = (answer for group in in_groups(sequences, BATCH) for answer in self.predict(group))
        return written((answer._asdict() for answer in found), format)
