"""Sequences of numbers in files: the same features at each step, any number of steps in each sequence."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gatewise.data.cells import cell_text, shortened
from gatewise.data.json_lines import objects_in
from gatewise.data.nested_numbers import nested_numbers
from gatewise.data.numerals import MISSING, comma_hint, parse_number
from gatewise.data.parquet import typed_columns
from gatewise.data.sequence_columns import DEFAULT_COLUMNS, SequenceColumns
from gatewise.data.sequence_store import SequenceTable, SequenceWriter
from gatewise.data.table_columns import Column, NumberColumn, TableRows, TextColumn
from gatewise.data.table_format import PLAIN, TableFormat
from gatewise.data.tables import column_names, kind_of, read_column_parts, read_columns
from gatewise.data.unnamed_columns import data_columns
from gatewise.progress import tracked

_STEPS = "steps"
_ROWS = 64
"""Rows with a sequence each that are converted together."""


class Found(NamedTuple):
    """A sequence as a file has it: the features of its steps (T, I), its labels, and its categories by column."""

    steps: NDArray[np.float64]
    labels: list[str]
    categories: dict[str, list[str]]

    @classmethod
    def joined(cls, parts: Sequence["Found"]) -> "Found":
        """The parts of a sequence, one after the other, as one."""
        if len(parts) == 1:
            return parts[0]
        names = parts[0].categories
        return cls(
            np.concatenate([part.steps for part in parts]),
            [label for part in parts for label in part.labels],
            {name: [value for part in parts for value in part.categories[name]] for name in names},
        )


def read_numeric_sequences(
    paths: Sequence[Path],
    columns: SequenceColumns = DEFAULT_COLUMNS,
    notice: Callable[[str], None] = lambda _: None,
    format: TableFormat = PLAIN,
    make_folder: Callable[[], Path] | None = None,
) -> SequenceTable:
    """Sequences of files, in order.

    A table has a row per step, and says in a column which sequence the step belongs to; rows of one sequence are
    consecutive. JSON lines, and Parquet in nested columns, may also have a sequence per row:
    ``{"steps": [[0.5, 1], [0.25, 2]], "label": "a"}``, where the label may be a list with one for each step, or
    missing; a categorical column has a value for each step, or one for all.

    Args:
        paths: tables (.csv, .tsv, .parquet) or JSON lines.
        columns: their columns.
        notice: receives notices.
        format: how tables are written.
        make_folder: makes an empty folder for the files of sequences that are too many for memory, see
            `SequenceWriter`; by default all are kept in memory.

    Raises:
        ValueError: when something is not a finite number, or missing, or steps have different widths; with its
            location.
        OSError: when a file cannot be read, or the folder written to.
    """
    writer = SequenceWriter(columns.categories, make_folder)
    first, names = 0, tuple[str, ...]()
    for path in paths:
        found = _of_file(path, columns, notice, format)
        if path == paths[0]:
            names = found.features
            columns = replace(columns, features=columns.features or names)
        width = 0
        for sequence in tracked(found.sequences, f"reading {path.name}", "sequences"):
            width = sequence.steps.shape[1]
            first = first or width
            if width != first:
                raise ValueError(f"{path}: expected {first} features, as in {paths[0]}, got {width}")
            writer.add(*sequence)
    return writer.finish(names)


class _File(NamedTuple):
    """The sequences of a file, and the names of its features; none where a row has a whole sequence."""

    sequences: Iterator[Found]
    features: tuple[str, ...] = ()


def _of_file(path: Path, columns: SequenceColumns, notice: Callable[[str], None], format: TableFormat) -> _File:
    kind = kind_of(path)
    names = column_names(path, format)
    if kind in (".csv", ".tsv") or columns.sequence in names or (kind != ".jsonl" and _STEPS not in names):
        if columns.features:
            return _File(_of_table(path, names, columns, format), columns.features)
        columns = replace(columns, features=tuple(_feature_names(path, names, columns, notice, format)))
        return _File(_of_table(path, names, columns, format, notice), columns.features)
    if kind == ".jsonl":
        return _File(numeric_lines(format.text(path).lines("\n"), str(path), columns))
    members = [_STEPS, *(name for name in (columns.label, *columns.categories) if name in names)]
    return _File(_of_rows(_typed_rows(path, members), str(path), columns))


def _typed_rows(path: Path, names: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of nested columns, the first of which has the steps: an array (T, I) where they are plain numbers."""
    number = 0
    for batch in typed_columns(path, names):
        for first in range(0, len(batch[0]), _ROWS):
            cells, *others = (column.slice(first, _ROWS) for column in batch)
            steps = nested_numbers(cells)
            columns = [cells.to_pylist() if steps is None else steps, *(column.to_pylist() for column in others)]
            for values in zip(*columns, strict=True):
                number += 1
                yield f"{path}: row {number}", dict(zip(names, values, strict=True))


def numeric_lines(lines: Iterable[str], source: str, columns: SequenceColumns) -> Iterator[Found]:
    """The sequences of JSON lines, one in each.

    Args:
        lines: the lines.
        source: where they come from, for people.
        columns: which members are what.

    Raises:
        ValueError: for a line that is not a sequence of finite numbers, or has steps of another width than the first;
            with its location.
    """
    rows = ((f"{source}: line {number}", row) for number, row in objects_in(source, lines))
    yield from _of_rows(rows, source, columns)


def _feature_names(
    path: Path, names: Sequence[str], columns: SequenceColumns, notice: Callable[[str], None], format: TableFormat
) -> list[str]:
    """The names of the features of a table where they are not given: every column that is nothing else.

    Args:
        path: the table.
        names: those of its columns.
        columns: what the other columns are.
        notice: receives notices.
        format: how the table is written.

    Raises:
        ValueError: for a column without a name that is neither empty nor numbers the rows.
        OSError: when it cannot be read.
    """

    def cells(position: int) -> list[str]:
        return [cell for (cell,) in read_columns(path, [position], blanks=True, format=format)]

    others = (columns.sequence, columns.label, *columns.categories)
    return data_columns(str(path), names, others, cells, lambda message: notice(f"{path}: {message}"))


class _RowNumbers:
    """Finds features that number the rows of a table of several sequences, from 0 or 1.

    The order of rows may give the labels away; within one sequence it is time.

    Args:
        features: the names of the I features.
    """

    def __init__(self, features: Sequence[str]) -> None:
        self._features = features
        self._possible = np.ones((2, len(features)), np.bool_)
        self._row = 0
        self._sequences = set[str]()

    def add(self, sequence: str, steps: NDArray[np.float64]) -> None:
        """Compare the features (T, I) of further rows, which are of a sequence."""
        if self._possible.any():
            self._sequences.add(sequence)
            rows = self._row + np.arange(len(steps))[:, None]
            self._possible &= np.stack([(steps == rows + first).all(0) for first in (0, 1)])
            self._row += len(steps)

    @property
    def names(self) -> list[str]:
        """The names of such features."""
        found = np.flatnonzero(self._possible.any(0)).tolist() if len(self._sequences) > 1 else []
        return [self._features[index] for index in found]


def _of_rows(rows: Iterable[tuple[str, dict[str, Any]]], source: str, columns: SequenceColumns) -> Iterator[Found]:
    """The sequences of rows that each have one, with their locations."""
    width, first = 0, ""
    for where, row in rows:
        steps = row.get(_STEPS)
        if isinstance(steps, np.ndarray) and len(steps) and (not width or steps.shape[1] == width):
            width, first = steps.shape[1], first or where
            if not np.isfinite(steps).all():
                _check_numbers(where, steps, columns.missing)
            yield Found(steps, *_others_of(row, where, columns, len(steps)))
            continue
        if isinstance(steps, np.ndarray):
            steps = steps.tolist()
        if not isinstance(steps, list) or not all(isinstance(step, list) for step in steps):
            raise ValueError(f'{where}: expected {{"steps": [[numbers of a step], ...]}}, got {shortened(row)}')
        if not steps or not steps[0]:
            raise ValueError(f"{where}: a sequence without {'features' if steps else 'steps'}")
        width, first = width or len(steps[0]), first or where
        for step, values in enumerate(steps, 1):
            if len(values) != width:
                as_in = first.removeprefix(f"{source}: ")
                raise ValueError(f"{where}: step {step}: expected {width} features, as in {as_in}, got {len(values)}")
        numbers = [[_number(where, value, columns.missing) for value in step] for step in steps]
        yield Found(np.array(numbers, np.float64), *_others_of(row, where, columns, len(steps)))
    if not width:
        raise ValueError(f"{source}: there are no sequences in it")


def _check_numbers(where: str, steps: NDArray[np.float64], missing: bool) -> None:
    """Raise a ValueError for an infinite number, or for one that is missing where that must not be."""
    wrong = np.isinf(steps) if missing else ~np.isfinite(steps)
    for value in steps[wrong].tolist():
        _number(where, None if value != value else value, missing)


def _others_of(
    row: dict[str, Any], where: str, columns: SequenceColumns, steps: int
) -> tuple[list[str], dict[str, list[str]]]:
    """The labels and categories of a row with a sequence."""
    label = row.get(columns.label, [])
    labels = [cell_text(one, where, columns.label) for one in (label if isinstance(label, list) else [label])]
    return labels, {name: _values_of_steps(row, name, where, steps) for name in columns.categories}


def _values_of_steps(row: dict[str, Any], name: str, where: str, steps: int) -> list[str]:
    """The values of a categorical column of a sequence."""
    if name not in row:
        raise ValueError(f"{where}: no {name!r}; expected its value at each step, or one for all")
    given = row[name]
    values: list[Any] = given if isinstance(given, list) else [given] * steps
    if len(values) != steps:
        raise ValueError(f"{where}: {name!r}: expected a value for each of {steps} steps, got {len(values)}")
    return [cell_text(value, where, name, blank=True) for value in values]


def _of_table(
    path: Path,
    header: Sequence[str],
    columns: SequenceColumns,
    format: TableFormat,
    notice: Callable[[str], None] | None = None,
) -> Iterator[Found]:
    """The sequences of a table with a row for each step.

    Args:
        path: the table.
        header: the names of its columns.
        columns: what they are.
        format: how it is written.
        notice: receives a notice of features that number the rows; None where the features are given.
    """
    if not columns.features:
        raise ValueError(f"{path}: no column of features beside {columns.sequence!r} and {columns.label!r}")
    labels = [columns.label] if columns.label in header else []
    names = [columns.sequence, *labels, *columns.categories, *columns.features]
    parts = read_column_parts(path, names, blanks=True, numbers=columns.features, format=format)
    typed, row_numbers = kind_of(path) not in (".csv", ".tsv"), _RowNumbers(columns.features)
    seen = set[str]()
    last, found = "", list[Found]()
    for rows in parts:
        for name, of_part in _of_part(rows, names, columns, labels, typed=typed):
            row_numbers.add(name, of_part.steps)
            if found and name == last:
                found.append(of_part)
                continue
            if name in seen:
                raise ValueError(f"{path}: the rows of sequence {name!r} are not consecutive; sort the table")
            seen.add(name)
            if found:
                yield Found.joined(found)
            last, found = name, [of_part]
    if found:
        yield Found.joined(found)
    if notice is None:
        return
    for name in row_numbers.names:
        notice(f"{path}: feature {name!r} numbers the rows of the file; exclude it with --feature-columns")


def _of_part(
    rows: TableRows, names: Sequence[str], columns: SequenceColumns, labels: Sequence[str], *, typed: bool
) -> Iterator[tuple[str, Found]]:
    """The sequences of consecutive rows, each with its name; the last may have further rows."""
    first = len(names) - len(columns.features)
    texts: list[tuple[list[str], NDArray[np.int64]]] = []
    for name, column in zip(names[:first], rows.columns, strict=False):
        assert isinstance(column, TextColumn)
        texts.append(column.codes())
        if typed and name not in columns.categories and "" in texts[-1][0]:  # null is an empty text
            row = int((texts[-1][1] == texts[-1][0].index("")).argmax())
            raise ValueError(f"{rows.full_location(row)}: {name!r} is null or empty; expected a value")
    steps = np.empty((len(rows), len(columns.features)))
    without_label = "" if labels else f" (there is no column {columns.label!r})"
    for index, name in enumerate(columns.features):
        steps[:, index] = _checked(rows, name, rows.columns[first + index], columns.missing, without_label)
    sequences, codes = texts[0]
    starts = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(codes)]
    for start, end in pairwise(starts):
        cut = [[values[code] for code in of_rows[start:end].tolist()] for values, of_rows in texts[1:]]
        categories = dict(zip(columns.categories, cut[len(labels) :], strict=True))
        yield sequences[codes[start]], Found(steps[start:end], cut[0] if labels else [], categories)


def _checked(rows: TableRows, name: str, column: Column, missing: bool, without_label: str) -> NDArray[np.float64]:
    """The numbers of a column.

    Raises:
        ValueError: for one that is infinite, not a number, or missing where that must not be.
    """
    assert isinstance(column, NumberColumn)
    wrong = np.isinf(column.values)
    wrong[list(column.texts)] = True
    if not missing:
        wrong |= np.isnan(column.values)
    if wrong.any():
        row = int(wrong.argmax())
        _number(
            f"{rows.full_location(row)}: {name}",
            column[row],
            missing,
            _OTHER_COLUMNS.format(without_label),
            rows.decimal,
        )
    return column.values


_OTHER_COLUMNS = (
    "; name the features with --feature-columns, the label with --label-column{}, columns of text with --categorical"
)


def _number(where: str, value: object, missing: bool, hint: str = "", decimal: str = ".") -> float:
    if value is None or (value.strip().lower() in MISSING if isinstance(value, str) else value != value):  # NaN
        if missing:
            return math.nan
        hint = "; --missing mask reads missing values"
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
