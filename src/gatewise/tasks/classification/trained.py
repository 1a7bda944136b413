"""A trained classifier, read from its run folder: label texts, score labelled texts."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gatewise.data.in_memory import as_files, is_in_memory, texts_of
from gatewise.data.labelled_texts import LabelledText
from gatewise.data.labels import Labels, MostFrequent
from gatewise.data.vocabulary_file import read_parts
from gatewise.models.classifier import Classifier
from gatewise.progress import say, tracked
from gatewise.tasks.answer_formats import written
from gatewise.tasks.answers import answer_texts, in_groups, read_texts
from gatewise.tasks.classification.corpus import read_corpus, read_labelled
from gatewise.tasks.classification.network import logits_of, make_model
from gatewise.tasks.classification.options import ClassificationOptions
from gatewise.tasks.classification.scores import label_scores
from gatewise.tasks.confusion_picture import plot_confusion
from gatewise.tasks.inspection import Inspection, inspect_answers, one_text, requested_report
from gatewise.tasks.opening import same_data
from gatewise.tasks.token_reader import TokenReader, Tokens, cut_texts
from gatewise.tasks.trained import Scores, Trained
from gatewise.tasks.unknown_labels import check_labels


class Prediction(NamedTuple):
    """What a model makes of a text.

    Attributes:
        label: the most probable label.
        probability: its probability.
        probabilities: that of every label.
    """

    label: str
    probability: float
    probabilities: dict[str, float]


class TrainedClassifier(Trained):
    """The classifier of a run folder.

    Attributes:
        reader: the tokens.
        labels: the labels.
    """

    name = "classify"
    options: ClassificationOptions
    model: Classifier

    def _read_vocabulary(self) -> None:
        parts = read_parts(self.folder.vocabulary)
        self.reader = TokenReader.from_parts(parts)
        self.labels: Labels = parts["labels"]
        self._baseline: MostFrequent = parts["baseline"]

    def _make_model(self) -> Classifier:
        return make_model(self.options, self.reader, self.labels)

    def evaluate(self, data: Any = None) -> Scores:
        """Score labelled texts.

        Args:
            data: tables or folders, or a table in memory; by default the held-out texts of the run, and
                the others it is to be scored on.

        Returns:
            for each part ``examples``, ``unknown_tokens``, ``unknown_labels`` (those that the training data does not
            have, which count as errors), ``loss`` in nats over known labels, ``accuracy``, ``macro_f1``, ``per_label``
            (for each label ``precision``, ``recall``, ``f1`` and ``support``), and ``baseline_accuracy``, that of the
            most frequent label of the training data.

        Raises:
            ValueError: when the data is malformed, has no known label, or has changed since the run.
            OSError: when a file cannot be read.
        """
        parts = self._scored(data)
        check_parts(self.labels, parts)
        return {name: self._score(examples)[0] for name, examples in parts.items()}

    def confusion(self, data: Any = None) -> dict[str, Tensor]:
        """For each part of the data (L, L): how many texts of label i were taken for label j.

        The first K labels are those of the model; labels that the training data does not have come after them.

        Args:
            data: see `evaluate`.
        """
        return {name: self._score(examples)[1] for name, examples in self._scored(data).items()}

    @property
    def has_probabilities(self) -> bool:
        return True

    def predict(self, texts: Any) -> list[Prediction]:
        """Label texts.

        Args:
            texts: a sequence of texts, or a table in memory with a column of them.

        >>> import gatewise
        >>> model = gatewise.load("runs/first", "classify")  # doctest: +SKIP
        >>> model.predict(["Return the running event loop."])  # doctest: +SKIP
        [Prediction(label='asyncio', probability=0.98, probabilities={...})]
        """
        if isinstance(texts, str):
            raise TypeError("texts: expected a sequence of texts, got one str; write [text]")
        if is_in_memory(texts):
            texts = texts_of(texts, self.options.text_column)
        return self._predict(self._rows(texts))

    def answers(
        self, paths: Sequence[Path] = (), format: str | None = None, *, probabilities: bool = False
    ) -> Iterator[str] | Iterator[bytes]:
        """The labels of the texts in files, as the content of a file; a text without a word has none.

        Args:
            paths: tables, or files with a text per line; without any the standard input is read, line by line.
            format: "jsonl" (the default), "csv" or "parquet".
            probabilities: whether to write the probability of every label.

        Raises:
            ValueError: for another format, or malformed data.
            OSError: when a file cannot be read.
        """
        return written(self._answers(paths, probabilities), format)

    def inspect(self, text: str, *, steps: int = 2000, out: str | Path | None = None) -> Inspection:
        """Watch the network label a text, find which words moved the answer, and write a report.

        Args:
            text: the text.
            steps: the largest number of tokens to read, from the beginning; never more than in training.
            out: the page of HTML to write, by default ``report.html`` in the run folder.

        Raises:
            ValueError: when ``steps`` is below 1, the text has no tokens, or the folder of ``out`` is missing.
            OSError: when the report cannot be written.
        """
        report = requested_report(self.folder, out, steps)
        inputs, tokens = one_text(self.reader, text, min(steps, self.options.longest))
        with torch.no_grad():
            answer = int(self.model(inputs, torch.tensor([len(tokens)])).argmax())

        def told(x: Tensor) -> Tensor:
            scores = self.model.read(x, torch.full(x.shape[1:2], len(x)))
            return scores.double().log_softmax(-1)[:, answer : answer + 1]

        answers = [self.labels.names[answer]]
        return inspect_answers(self.model, inputs, tokens, answers, told, lambda x: -told(x).sum(), report)

    def _answers(self, paths: Sequence[Path], probabilities: bool) -> Iterator[dict[str, Any]]:
        told = False

        def answer(texts: list[str]) -> list[Prediction]:
            nonlocal told
            rows = self._rows(texts)
            if not told and any(row.cut for row in rows):
                told = True
                say(f"warning: texts of more than {self.options.longest:,} tokens are read to there only (--longest)")
            return self._predict(rows)

        for texts in in_groups(read_texts(paths, self.options.text_column, self.options.table_format), _BATCH):
            for text, found in zip(texts, answer_texts(texts, answer), strict=True):
                yield {"text": text, **prediction_row(found, self.labels, probabilities)}

    def _rows(self, texts: Sequence[str]) -> list[Tokens]:
        return [self.reader.read(self.reader.split(text), self.options.longest) for text in texts]

    def _predict(self, rows: Sequence[Tokens]) -> list[Prediction]:
        return predictions(logits_of(self.model, self.reader, rows, _BATCH), self.labels)

    def finish(self, scored: Mapping[str, list[LabelledText]]) -> Scores:
        """The scores; the confusion matrices are left as pictures."""
        found: Scores = {}
        for name, examples in scored.items():
            found[name], counts = self._score(examples)
            plot_confusion(
                counts,
                self.labels.including(label for _, label in examples).names,
                self.folder.path / f"confusion_{name}.png",
            )
        return found

    def _scored(self, data: str | Path | Iterable[str | Path] | None) -> dict[str, list[LabelledText]]:
        if data is not None:
            with as_files(data) as paths:
                return {"data": read_labelled(self.options, paths)}
        return same_data(self.folder, read_corpus(self.options)).scored

    def _score(self, examples: list[LabelledText]) -> tuple[dict[str, Any], Tensor]:
        labels = self.labels.including(label for _, label in examples)
        rows, targets = numbered(self.reader, labels, examples, self.options.longest)
        logits = logits_of(self.model, self.reader, rows, _BATCH)
        scores, counts = label_scores(logits, torch.tensor(targets), labels.names)
        right = targets.count(self._baseline.overall)
        unknown = self.reader.unknown_tokens(rows)
        cut = cut_texts(rows, self.options.longest)
        if cut is not None:
            say(f"warning: {cut}")
        return {
            "examples": len(rows),
            "unknown_tokens": unknown,
            **scores,
            "baseline_accuracy": right / len(rows),
        }, counts


_BATCH = 64


def predictions(logits: Tensor, labels: Labels) -> list[Prediction]:
    """What scores (N, K) say."""
    found: list[Prediction] = []
    for row in logits.softmax(-1):
        values = dict(zip(labels.names, row.tolist(), strict=True))
        best = max(values, key=values.__getitem__)
        found.append(Prediction(best, values[best], values))
    return found


def prediction_row(found: Prediction | None, labels: Labels, probabilities: bool) -> dict[str, Any]:
    """What is written of a prediction, or where there is none; the probability of every label, if wanted."""
    values = dict.fromkeys(labels.names) if found is None else found.probabilities
    return {
        "label": None if found is None else found.label,
        "probability": None if found is None else found.probability,
        **({"probabilities": values} if probabilities else {}),
    }


def numbered(
    reader: TokenReader, labels: Labels, examples: Iterable[LabelledText], longest: int
) -> tuple[list[Tokens], list[int]]:
    """Labelled texts as tokens and the numbers of their labels, all of which there are."""
    rows: list[Tokens] = []
    targets: list[int] = []
    for text, label in tracked(examples, "encoding", "texts"):
        rows.append(reader.read(reader.split(text), longest))
        targets.append(labels.number(label))
    return rows, targets


def check_parts(labels: Labels, parts: Mapping[str, Iterable[LabelledText]]) -> None:
    """Check the labels of data to be scored, see `check_labels`."""
    for name, examples in parts.items():
        check_labels(name, (label for _, label in examples), labels)


TRAINED = TrainedClassifier
