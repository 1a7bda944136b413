"""Sequences of numbers, categories and labels as rows of a store, in memory or in files that are mapped into memory."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gatewise.data.row_collector import RowCollector
from gatewise.data.row_store import Field, RowStore


class NumericSequence:
    """A sequence of a store; its contents are read from there when they are asked for.

    Attributes:
        length: the number of steps T.

    Args:
        table: the sequences that it is one of.
        number: its number among them, from 0.
        length: the number of its steps.
    """

    __slots__ = ("_number", "_table", "length")

    def __init__(self, table: "SequenceTable", number: int, length: int) -> None:
        self._table = table
        self._number = number
        self.length = length

    @property
    def steps(self) -> NDArray[np.float64]:
        """The features (T, I); NaN where a value is missing. Not to be written to."""
        return self._table.rows.row("steps", self._number)

    @property
    def labels(self) -> list[str]:
        """The labels: none, one for the sequence, or one for each step."""
        texts = self._table.texts
        return [texts[number] for number in self._table.rows.row("labels", self._number).tolist()]

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the I features; none where they have none."""
        return self._table.feature_names

    @property
    def label_count(self) -> int:
        """The number of labels."""
        return len(self._table.rows.row("labels", self._number))

    @property
    def classes(self) -> set[str]:
        """The labels, each once."""
        return {
            self._table.texts[number] for number in np.unique(self._table.rows.row("labels", self._number)).tolist()
        }

    @property
    def missing(self) -> list[int]:
        """The features, from 0, that have missing values."""
        return np.flatnonzero(np.isnan(self.steps).any(0)).tolist()

    @property
    def categories(self) -> dict[str, list[str]]:
        """Of each categorical column, by name, the values (T) of the steps."""
        names, texts = self._table.category_names, self._table.texts
        columns = self._table.rows.row("categories", self._number).T.tolist() if names else []
        return {name: [texts[number] for number in column] for name, column in zip(names, columns, strict=True)}


class SequenceTable:
    """Sequences that were written by a `SequenceWriter`.

    Args:
        rows: the features, and the numbers of labels and categories.
        texts: what these stand for.
        category_names: the names of the categorical columns.
        feature_names: the names of the features; none where they have none.
    """

    def __init__(
        self, rows: RowStore, texts: list[str], category_names: Sequence[str], feature_names: Sequence[str] = ()
    ) -> None:
        self.rows = rows
        self.texts = texts
        self.category_names = tuple(category_names)
        self.feature_names = tuple(feature_names)

    def sequences(self) -> list[NumericSequence]:
        """The sequences, in order."""
        lengths = self.rows.lengths("steps").tolist()
        return [NumericSequence(self, number, length) for number, length in enumerate(lengths)]


class SequenceWriter:
    """Collects sequences.

    Args:
        category_names: the names of the categorical columns.
        make_folder: see `RowCollector`.
    """

    def __init__(self, category_names: Sequence[str] = (), make_folder: Callable[[], Path] | None = None) -> None:
        self._category_names = tuple(category_names)
        self._make_folder = make_folder
        self._rows: RowCollector | None = None
        self._numbers: dict[str, int] = {}

    def add(
        self, steps: NDArray[np.float64], labels: Sequence[str], categories: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        """Add a sequence.

        Args:
            steps: (T, I), where I is the same for all; NaN where a value is missing.
            labels: none, one, or one for each step.
            categories: of each categorical column the values of the steps.

        Raises:
            OSError: when a file cannot be written.
        """
        if self._rows is None:
            fields = {
                "steps": Field("float64", steps.shape[1:]),
                "labels": Field("int32"),
                "categories": Field("int32", (len(self._category_names),)),
            }
            self._rows = RowCollector(fields, self._make_folder)
        columns = [self._numbered((categories or {})[name]) for name in self._category_names]
        numbered = np.stack(columns, 1) if columns else np.zeros((0, 0), np.int32)
        self._rows.append(steps=steps, labels=self._numbered(labels), categories=numbered)

    def finish(self, feature_names: Sequence[str] = ()) -> SequenceTable:
        """The sequences, of which there is at least one; features may have names."""
        assert self._rows is not None
        return SequenceTable(self._rows.finish(), list(self._numbers), self._category_names, feature_names)

    def _numbered(self, texts: Sequence[str]) -> NDArray[np.int32]:
        numbers = self._numbers
        return np.array([numbers.setdefault(text, len(numbers)) for text in texts], np.int32)


def stored(
    sequences: Iterable[tuple[NDArray[np.float64], Sequence[str], Mapping[str, Sequence[str]]]],
    category_names: Sequence[str] = (),
) -> list[NumericSequence]:
    """Sequences in memory.

    Args:
        sequences: the arguments of `SequenceWriter.add` for each.
        category_names: the names of the categorical columns.

    >>> (sequence,) = stored([(np.zeros((3, 2)), ["up"], {})])
    >>> sequence.length, sequence.labels
    (3, ['up'])
    """
    writer = SequenceWriter(category_names)
    empty = True
    for sequence in sequences:
        writer.add(*sequence)
        empty = False
    return [] if empty else writer.finish().sequences()


def hash_of(sequences: Iterable[NumericSequence]) -> str:
    """The SHA-256 of the contents of sequences."""
    digest = sha256()
    for sequence in sequences:
        digest.update(f"{sequence.steps.shape}".encode())
        digest.update(sequence.steps.tobytes())
        for texts in (sequence.labels, *sequence.categories.values()):
            digest.update("\0".join((str(len(texts)), *texts, "")).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
