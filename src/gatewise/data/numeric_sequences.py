"""Sequences of numbers: so many features at each step, so many steps in each sequence."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from gatewise.data.cells import cell_text, shortened
from gatewise.data.json_lines import json_objects
from gatewise.data.numerals import comma_hint, parse_number
from gatewise.data.table_format import PLAIN, TableFormat
from gatewise.data.tables import column_names, kind_of, read_columns, read_values
from gatewise.data.unnamed_columns import counts_rows, data_columns
from gatewise.progress import tracked

NumericSequence = tuple[list[list[float]], list[str]]
"""Steps of features, and labels: none, one for the sequence, or one for each step."""

_STEPS = "steps"


def read_numeric_sequences(
    paths: Sequence[Path],
    sequence_column: str,
    label_column: str,
    feature_columns: Sequence[str] = (),
    tell: Callable[[str], None] = lambda _: None,
    format: TableFormat = PLAIN,
) -> list[NumericSequence]:
    """Sequences of files, in order.

    A table has a row per step, and says in a column which sequence the step belongs to; rows of one sequence stand
    together. JSON lines, and Parquet in nested columns, may also have a sequence per row:
    ``{"steps": [[0.5, 1], [0.25, 2]], "label": "a"}``, where the label may be a list with one for each step, or
    missing.

    Args:
        paths: tables (.csv, .tsv, .parquet) or JSON lines.
        sequence_column: says which sequence a row belongs to.
        label_column: the label, if there is one.
        feature_columns: the features; by default those of `feature_names`.
        tell: receives notices.
        format: how tables are written.

    Raises:
        ValueError: when something is not a finite number or missing, or steps have different widths; with the place.
        OSError: when a file cannot be read.
    """
    found: list[NumericSequence] = []
    widths: list[int] = []
    for path in paths:
        if not has_row_per_step(path, sequence_column):
            found += tracked(_of_file(path, label_column, format), f"reading {path.name}", "sequences")
        else:
            features = feature_columns or feature_names(path, sequence_column, label_column, tell, format)
            rows = _table(path, sequence_column, label_column, features, format)
            found += tracked(rows, f"reading {path.name}", "sequences")
        widths.append(len(found[-1][0][0]))
        if widths[-1] != widths[0]:
            raise ValueError(f"{path}: expected {widths[0]} features, as in {paths[0]}, got {widths[-1]}")
    return found


def numeric_lines(text: str, source: str, label_column: str) -> Iterator[NumericSequence]:
    """The sequences of JSON lines, one in each.

    Args:
        text: the lines.
        source: where they come from, for people.
        label_column: the label, if there is one.

    Raises:
        ValueError: for a line that is not a sequence of finite numbers, or has steps of another width than the first;
            with its place.
    """
    lines = ((f"{source}: line {number}", row) for number, row in json_objects(source, text))
    yield from _numeric_rows(lines, source, label_column)


def _of_file(path: Path, label_column: str, format: TableFormat) -> Iterator[NumericSequence]:
    if kind_of(path) == ".jsonl":
        return numeric_lines(format.read(path), str(path), label_column)
    names = [_STEPS, *[label_column] * (label_column in column_names(path))]
    rows = ((where, dict(zip(names, values, strict=True))) for where, values in read_values(path, names))
    return _numeric_rows(rows, str(path), label_column)


def _numeric_rows(
    rows_with_places: Iterable[tuple[str, dict[str, Any]]], source: str, label_column: str
) -> Iterator[NumericSequence]:
    width, first = 0, ""
    for where, row in rows_with_places:
        rows = row.get(_STEPS)
        if not isinstance(rows, list) or not all(isinstance(step, list) for step in rows):
            raise ValueError(f'{where}: expected {{"steps": [[numbers of a step], ...]}}, got {shortened(row)}')
        if not rows or not rows[0]:
            raise ValueError(f"{where}: a sequence without {'features' if rows else 'steps'}")
        width, first = width or len(rows[0]), first or where
        for step, values in enumerate(rows, 1):
            if len(values) != width:
                as_in = first.removeprefix(f"{source}: ")
                raise ValueError(f"{where}: step {step}: expected {width} features, as in {as_in}, got {len(values)}")
        steps = [[_number(where, value) for value in step] for step in rows]
        label = row.get(label_column, [])
        labels = label if isinstance(label, list) else [label]
        yield steps, [cell_text(one, where, label_column) for one in labels]
    if not width:
        raise ValueError(f"{source}: there are no sequences in it")


def has_row_per_step(path: Path, sequence_column: str) -> bool:
    """Whether a file has a row for each step; otherwise one for each sequence, as JSON lines and Parquet may have.

    Raises:
        ValueError, OSError: as `read_columns`.
    """
    kind = kind_of(path)
    if kind in (".csv", ".tsv"):
        return True
    names = column_names(path)
    return sequence_column in names or (kind != ".jsonl" and _STEPS not in names)


def feature_names(
    path: Path,
    sequence_column: str,
    label_column: str,
    tell: Callable[[str], None] = lambda _: None,
    format: TableFormat = PLAIN,
) -> list[str]:
    """The names of the features of a table of which no one says them: every column that has no other part.

    Args:
        path: the table.
        sequence_column, label_column: see `read_numeric_sequences`.
        tell: receives notices.
        format: how the table is written.

    Raises:
        ValueError: for a column without a name that is neither empty nor numbers the rows.
        OSError: when it cannot be read.
    """

    def cells(place: int) -> list[str]:
        return [cell for (cell,) in read_columns(path, [place], blanks=True, format=format)]

    taken = (sequence_column, label_column)
    found = data_columns(str(path), column_names(path, format), taken, cells, lambda told: tell(f"{path}: {told}"))
    sequences, *columns = zip(*read_columns(path, [sequence_column, *found], blanks=True, format=format), strict=True)
    for name, values in zip(found, columns, strict=True):
        # The order of rows may say what the labels are; within one sequence it is time.
        if counts_rows(values) and len(set(sequences)) > 1:
            tell(f"{path}: feature {name!r} numbers the rows of the file; leave it out with --feature-columns")
    return found


def _table(
    path: Path, sequence_column: str, label_column: str, features: Sequence[str], format: TableFormat
) -> Iterator[NumericSequence]:
    if not features:
        raise ValueError(f"{path}: no column of features beside {sequence_column!r} and {label_column!r}")
    labels = [label_column] if label_column in column_names(path, format) else []
    rows = read_columns(path, [sequence_column, *features, *labels], numbers=features, format=format)
    seen = set[str]()
    for name, group in groupby(enumerate(rows), key=lambda row: row[1][0]):
        if name in seen:
            raise ValueError(f"{path}: the rows of sequence {name!r} do not stand together; sort the table")
        seen.add(name)
        steps: list[list[float]] = []
        of_steps: list[str] = []
        for number, row in group:
            values = row[1 : 1 + len(features)]
            steps.append(
                [
                    _number(f"{rows.at(number)}: {feature}", value, _OTHER_COLUMNS, rows.decimal)
                    for feature, value in zip(features, values, strict=True)
                ]
            )
            of_steps += row[1 + len(features) :]
        yield steps, of_steps


_OTHER_COLUMNS = "; name the features with --feature-columns, the label with --label-column"


def _number(where: str, value: object, hint: str = "", decimal: str = ".") -> float:
    number = None
    if isinstance(value, str):
        number = parse_number(value, decimal)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        with suppress(OverflowError):
            number = float(value)
    if number is None or not math.isfinite(number):
        hint = comma_hint(value, decimal) or hint
        raise ValueError(f"{where}: expected a finite number, got {shortened(value)}{hint}")
    return number


ROUNDING = 8 * 2.0**-52
"""Of the largest number: smaller differences are taken for rounding, eight times what float64 resolves."""


class Scaling:
    """Features to mean 0 and standard deviation 1 over the training data; one that never changes is only shifted.

    Args:
        means: of the features.
        deviations: of the features; 0 for one that never changes.

    >>> scaling = Scaling.learn([[[1.0, 5.0], [3.0, 5.0]]])
    >>> scaling.scaled([[3.0, 6.0]]).tolist(), scaling.constant
    ([[1.0, 1.0]], [1])
    """

    unit: ClassVar[str] = "scaling"

    def __init__(self, means: list[float], deviations: list[float]) -> None:
        self.means = torch.tensor(means, dtype=torch.float64)
        self.deviations = torch.tensor(deviations, dtype=torch.float64)
        self._divisors = self.deviations.where(self.deviations > 0, 1)

    @classmethod
    def learn(cls, sequences: Iterable[list[list[float]]]) -> Self:
        """Of the steps of some sequences."""
        steps = np.array([step for steps in sequences for step in steps], np.float64)
        # By powers of two, which is exact, so that no square or sum of them is out of the range of float64.
        _, exponents = np.frexp(np.abs(steps).max(0))
        steps = np.ldexp(steps, -exponents)
        deviations = steps.std(0)
        deviations[deviations <= ROUNDING * np.abs(steps).max(0)] = 0
        return cls(np.ldexp(steps.mean(0), exponents).tolist(), np.ldexp(deviations, exponents).tolist())

    @classmethod
    def none(cls, width: int) -> Self:
        """One that changes nothing."""
        return cls([0.0] * width, [1.0] * width)

    @property
    def width(self) -> int:
        """The number of features I."""
        return len(self.means)

    @property
    def constant(self) -> list[int]:
        """The features, from 0, that never change in the training data."""
        return (self.deviations == 0).nonzero().flatten().tolist()

    def of(self, values: Tensor) -> Tensor:
        """Features (…, I) scaled, float64."""
        return (values - self.means) / self._divisors

    def scaled(self, steps: list[list[float]]) -> Tensor:
        """The steps (T, I) of a sequence, float32.

        Raises:
            ValueError: when there are more or fewer features, or one is so far off that float32 cannot hold it.
        """
        values = torch.tensor(steps, dtype=torch.float64)
        if values.dim() != 2 or values.shape[1] != self.width:
            raise ValueError(f"expected {self.width} features at each step, as in training, got {tuple(values.shape)}")
        scaled = self.of(values).float()
        if not scaled.isfinite().all():
            step, feature = (~scaled.isfinite()).nonzero()[0].tolist()
            raise ValueError(
                f"step {step + 1}: feature {feature + 1} is {steps[step][feature]:g}, too far from the training data "
                f"(mean {float(self.means[feature]):g}, deviation {float(self.deviations[feature]):g})"
            )
        return scaled

    def unscaled(self, values: Tensor) -> Tensor:
        """The features (…, I) that scaled ones stand for, float64."""
        return values.double() * self._divisors + self.means

    def content(self) -> dict[str, Any]:
        """What `from_content` needs, as JSON values."""
        return {"means": self.means.tolist(), "deviations": self.deviations.tolist()}

    @classmethod
    def from_content(cls, content: dict[str, Any]) -> Self:
        """The scaling that `content` described."""
        return cls(content["means"], content["deviations"])
