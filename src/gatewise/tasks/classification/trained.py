"""A trained classifier, read from its run folder: label texts, score labelled texts."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from gatewise.data.in_memory import is_in_memory, texts_of
from gatewise.data.labels import Labels
from gatewise.models.classifier import Classifier
from gatewise.progress import say
from gatewise.tasks.attribution import Inspection
from gatewise.tasks.classification.options import ClassificationOptions
from gatewise.tasks.classification.pipeline import ClassificationPipeline
from gatewise.tasks.heads.head import BATCH
from gatewise.tasks.heads.label import LabelHead
from gatewise.tasks.heads.sequence_head import SequenceHead
from gatewise.tasks.prediction_io import first_text, in_groups, predict_texts, read_texts
from gatewise.tasks.token_reader import TokenReader, Tokens
from gatewise.tasks.trained_on_sequences import TrainedOnSequences
from gatewise.tasks.unknown_characters import UnknownCharacters


class TrainedClassifier(TrainedOnSequences):
    """The classifier of a run folder.

    `evaluate` gives ``examples``, ``unknown_tokens``, ``unknown_labels`` (the number of labels that the training data
    does not have, which count as errors), ``loss`` in nats over known labels, ``accuracy``, ``macro_f1``, ``per_label``
    (for each label ``precision``, ``recall``, ``f1`` and ``support``), and ``baseline_accuracy``, that of the most
    frequent label of the training data. With several labels for a text ``micro_f1``, ``macro_f1`` and ``exact_match``;
    of a number ``mae``, ``rmse`` and ``r2``, and those of the training data's mean.

    Attributes:
        reader: the tokens.
        head: what is predicted for a text.
    """

    name = "classify"
    pipeline_type = ClassificationPipeline
    options: ClassificationOptions
    pipeline: ClassificationPipeline
    reader: TokenReader
    head: SequenceHead
    model: Classifier

    @property
    def labels(self) -> Labels:
        """The labels of a model that predicts one for a text.

        Raises:
            ValueError: when it predicts something else.
        """
        return self._label_head("labels").labels

    def _label_head(self, what: str) -> LabelHead:
        if not isinstance(self.head, LabelHead):
            raise ValueError(
                f"{what}: are of a model that tells one label; target of this one is {self.options.target}"
            )
        return self.head

    def confusion(self, data: Any = None) -> dict[str, Tensor]:
        """For each part of the data (L, L): how many texts of label i are predicted as label j.

        The first K labels are those of the model; labels that the training data does not have come after them.

        Args:
            data: see `evaluate`.
        """
        head = self._label_head("confusion matrices")
        return {
            name: head.confusion(head.scored_parts(self.model, self.pipeline.encode(examples)))
            for name, examples in self._parts(data).items()
        }

    def predict(self, texts: Any) -> list[Any]:
        """Label texts.

        Args:
            texts: a sequence of texts, or a table in memory with a column of them.

        Returns:
            for each a `Prediction`; where a text has several labels a `LabelSet`, and where it has a number a `Number`.

        >>> import gatewise
        >>> model = gatewise.load("runs/first", "classify")  # doctest: +SKIP
        >>> model.predict(["Return the running event loop."])  # doctest: +SKIP
        [Prediction(label='asyncio', probability=0.98, probabilities={...})]
        """
        if isinstance(texts, str):
            raise TypeError("texts: expected a sequence of texts, got one str; write [text]")
        if is_in_memory(texts):
            texts = texts_of(texts, self.options.text_column)
        unknown = UnknownCharacters(self.reader.vocabulary)
        rows = self._rows(texts, unknown)
        unknown.report()
        return self._predict(rows)

    def inspect(self, text: str, *, steps: int = 2000, out: str | Path | None = None) -> Inspection:
        """Watch the network label a text, find which words contribute to the prediction, and write a report.

        Args:
            text: the text.
            steps: the largest number of tokens to read, from the beginning; never more than in training.
            out: the page of HTML to write, by default ``report.html`` in the run folder.

        Raises:
            ValueError: when ``steps`` is below 1, the text has no tokens, or the folder of ``out`` is missing.
            OSError: when the report cannot be written.
        """
        return self._inspect_tokens(text, steps, self.options.longest, out)

    def text_of(self, paths: Sequence[Path]) -> str:
        """What `inspect` reads of files: the text of the first row of a table, otherwise all text."""
        return first_text(paths, self.options.text_column, self.options.table_format)

    def _predictions(self, paths: Sequence[Path]) -> Iterator[tuple[Mapping[str, Any], Any]]:
        warned = False
        unknown = UnknownCharacters(self.reader.vocabulary)

        def predict(texts: list[str]) -> list[Any]:
            nonlocal warned
            rows = self._rows(texts, unknown)
            if not warned and any(row.cut for row in rows):
                warned = True
                say(f"warning: texts of more than {self.options.longest:,} tokens are read to there only (--longest)")
            return self._predict(rows)

        for texts in in_groups(read_texts(paths, self.options.text_column, self.options.table_format), BATCH):
            yield from zip(({"text": text} for text in texts), predict_texts(texts, predict), strict=True)
        unknown.report()

    def _rows(self, texts: Sequence[str], unknown: UnknownCharacters) -> list[Tokens]:
        rows = [self.reader.read(self.reader.split(text), self.options.longest) for text in texts]
        for row in rows:
            unknown.add(row.numbers, row.written)
        return rows

    def _predict(self, rows: Sequence[Tokens]) -> list[Any]:
        return self.head.predict(self.model, self.reader, rows)


TRAINED = TrainedClassifier
