"""A trained classifier, read from its run folder: label texts, score labelled texts."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from gatewise.data.in_memory import as_files, is_in_memory, texts_of
from gatewise.data.labelled_texts import LabelledText
from gatewise.data.labels import Labels
from gatewise.data.mapped import Mapped
from gatewise.data.scaling import Scaling
from gatewise.data.vocabulary_file import read_parts
from gatewise.models.classifier import Classifier
from gatewise.progress import say
from gatewise.tasks.answer_formats import written
from gatewise.tasks.attribution import Inspection, inspect_answers
from gatewise.tasks.checkpoint_io import same_data
from gatewise.tasks.classification.corpus import read_corpus, read_labelled
from gatewise.tasks.classification.network import logits_in_parts, logits_of, make_model
from gatewise.tasks.classification.one_label import OneLabel
from gatewise.tasks.classification.options import ClassificationOptions
from gatewise.tasks.classification.target import Scored, Target
from gatewise.tasks.classification.targets import target_of_parts
from gatewise.tasks.inspection import one_text, requested_report
from gatewise.tasks.prediction_io import answer_texts, first_text, in_groups, read_texts
from gatewise.tasks.token_reader import TokenReader, Tokens, notice_of_cut
from gatewise.tasks.token_rows import TokenRows, encode_examples
from gatewise.tasks.trained import Scores, Trained
from gatewise.tasks.unknown_characters import UnknownCharacters


class TrainedClassifier(Trained):
    """The classifier of a run folder.

    Attributes:
        reader: the tokens.
        target: what is predicted for a text.
    """

    name = "classify"
    options: ClassificationOptions
    model: Classifier

    def _read_vocabulary(self) -> None:
        parts = read_parts(self.folder.vocabulary, Scaling)
        self.reader = TokenReader.from_parts(parts)
        self.target = target_of_parts(self.options, parts)

    @property
    def labels(self) -> Labels:
        """The labels of a model that tells one.

        Raises:
            ValueError: for one that tells something else.
        """
        return self._one_label("labels").labels

    def _one_label(self, what: str) -> OneLabel:
        if not isinstance(self.target, OneLabel):
            raise ValueError(
                f"{what}: are of a model that tells one label; target of this one is {self.options.target}"
            )
        return self.target

    def _make_model(self) -> Classifier:
        return make_model(self.options, self.reader, self.target.size)

    def evaluate(self, data: Any = None) -> Scores:
        """Score labelled texts.

        Args:
            data: tables or folders, or a table in memory; by default the held-out texts of the run, and
                the others it is to be scored on.

        Returns:
            for each part ``examples``, ``unknown_tokens``, ``unknown_labels`` (those that the training data does not
            have, which count as errors), ``loss`` in nats over known labels, ``accuracy``, ``macro_f1``, ``per_label``
            (for each label ``precision``, ``recall``, ``f1`` and ``support``), and ``baseline_accuracy``, that of the
            most frequent label of the training data. With several labels for a text ``micro_f1``, ``macro_f1`` and
            ``exact_match``; of a number ``mae``, ``rmse`` and ``r2``, and those of the training data's mean.

        Raises:
            ValueError: when the data is malformed, has no known label, or has changed since the run.
            OSError: when a file cannot be read.
        """
        parts = self._scored(data)
        check_parts(self.target, parts)
        return {name: self._score(examples) for name, examples in parts.items()}

    def confusion(self, data: Any = None) -> dict[str, Tensor]:
        """For each part of the data (L, L): how many texts of label i were taken for label j.

        The first K labels are those of the model; labels that the training data does not have come after them.

        Args:
            data: see `evaluate`.
        """
        target = self._one_label("confusion matrices")
        return {
            name: target.confusion(self._scored_parts(self._encoded(examples), examples))[1]
            for name, examples in self._scored(data).items()
        }

    @property
    def has_probabilities(self) -> bool:
        return self.target.has_probabilities

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
            x = self.model.steps(*inputs)
            question = self.target.question(self.model.read(x, torch.tensor([len(tokens)])))
        return inspect_answers(self.model, x, tokens, question, report)

    def text_of(self, paths: Sequence[Path]) -> str:
        """What `inspect` reads of files: the text of the first row of a table, otherwise all text."""
        return first_text(paths, self.options.text_column, self.options.table_format)

    def _answers(self, paths: Sequence[Path], probabilities: bool) -> Iterator[dict[str, Any]]:
        warned = False
        unknown = UnknownCharacters(self.reader.vocabulary)

        def predict(texts: list[str]) -> list[Any]:
            nonlocal warned
            rows = self._rows(texts, unknown)
            if not warned and any(row.cut for row in rows):
                warned = True
                say(f"warning: texts of more than {self.options.longest:,} tokens are read to there only (--longest)")
            return self._predict(rows)

        for texts in in_groups(read_texts(paths, self.options.text_column, self.options.table_format), _BATCH):
            for text, found in zip(texts, answer_texts(texts, predict), strict=True):
                yield {"text": text, **self.target.row(found, probabilities=probabilities)}
        unknown.report()

    def _rows(self, texts: Sequence[str], unknown: UnknownCharacters) -> list[Tokens]:
        rows = [self.reader.read(self.reader.split(text), self.options.longest) for text in texts]
        for row in rows:
            unknown.add(row.numbers, row.written)
        return rows

    def _logits(self, rows: Sequence[Tokens]) -> Tensor:
        return logits_of(self.model, self.reader, rows, _BATCH)

    def _predict(self, rows: Sequence[Tokens]) -> list[Any]:
        return self.target.predictions(self._logits(rows))

    def finish(self, scored: Mapping[str, Sequence[LabelledText]]) -> Scores:
        """The scores; the confusion matrices are left as pictures."""
        return {
            name: self._score(examples, self.folder.path / f"confusion_{name}.png") for name, examples in scored.items()
        }

    def _scored(self, data: str | Path | Iterable[str | Path] | None) -> dict[str, Sequence[LabelledText]]:
        if data is not None:
            with as_files(data) as paths:
                return {"data": read_labelled(self.options, paths)}
        return same_data(self.folder, read_corpus(self.options, self.folder.read_description()["sha256"])).scored

    def _encoded(self, examples: Sequence[LabelledText]) -> TokenRows:
        return encode_texts(self.reader, self.target, examples, self.options.longest)

    def _scored_parts(self, rows: TokenRows, examples: Sequence[LabelledText]) -> Iterator[Scored]:
        written = written_targets(examples)
        for place, logits in logits_in_parts(self.model, self.reader, rows, _BATCH):
            yield logits, written[place]

    def _score(self, examples: Sequence[LabelledText], plot: Path | None = None) -> dict[str, Any]:
        rows = self._encoded(examples)
        cut = notice_of_cut(rows.cut, len(rows), self.options.longest)
        if cut is not None:
            say(f"warning: {cut}")
        return {
            "examples": len(rows),
            "unknown_tokens": rows.count(self.reader.vocabulary.unknown),
            **self.target.scores(self._scored_parts(rows, examples), plot),
        }


_BATCH = 64


_TARGET = "target"


def encode_texts(reader: TokenReader, target: Target, examples: Sequence[LabelledText], longest: int) -> TokenRows:
    """Labelled texts as tokens, and their targets."""
    form, encode_target = target.encoder(label for _, label in examples)

    def encode(example: LabelledText) -> dict[str, Any]:
        text, label = example
        return {**reader.encode(reader.split(text), longest), _TARGET: encode_target(label)}

    def written(index: int) -> list[str]:
        return reader.split(examples[index][0])[:longest]

    store = encode_examples(
        examples,
        {**reader.fields, _TARGET: form},
        encode,
        {**reader.parts, **target.parts},
        {"longest": longest, "class": type(target).__name__},
        "texts",
    )
    return TokenRows(store, None if reader.alphabet is None else written)


def targets_of(rows: TokenRows) -> NDArray[Any]:
    """The targets of such texts, (N, ...)."""
    return rows.store.column(_TARGET)


def check_parts(target: Target, parts: Mapping[str, Sequence[LabelledText]]) -> None:
    """Check what is to be told of data to be scored, see `Target.check`."""
    for name, examples in parts.items():
        target.check(name, written_targets(examples))


def written_targets(examples: Sequence[LabelledText]) -> Sequence[str]:
    """The targets of labelled texts as the data has them, each read when it is asked for."""
    return Mapped(examples, itemgetter(1))


TRAINED = TrainedClassifier
