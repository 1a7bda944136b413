"""Pairs of a source and its target, from tables or from two files whose lines belong together."""

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from gatewise.data.named_files import tables_of
from gatewise.data.table_format import PLAIN, TableFormat
from gatewise.data.tables import SUFFIXES, column_names, is_table, kind_of, table_rows
from gatewise.data.text import text_chunks

Pair = tuple[str, str]

_NAMES = ("source", "target")
# What names of columns look like, among them codes of languages: en, de_DE.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_LANGUAGE = re.compile(r"[a-z]{2}([-_][A-Za-z]{2,4})?")


def read_pairs(
    paths: Sequence[Path],
    source_column: str | None = None,
    target_column: str | None = None,
    notice: Callable[[str], None] = lambda _: None,
    format: TableFormat = PLAIN,
) -> Iterator[Pair]:
    """The pairs of tables, or of two parallel files, one after another.

    A pair with an empty side is skipped.

    Args:
        paths: tables (.csv, .tsv, .jsonl, .parquet), patterns such as ``pairs/*.parquet`` and folders of tables; or a
            text file of sources and one of targets, a line each.
        source_column: the name or the number (from 1) of the sources' column; by default source where the first line
            has source and target among its names, else the first.
        target_column: that of the targets; by default target, or the second.
        notice: receives how many pairs were skipped, if any.
        format: how tables are written.

    Raises:
        ValueError: when there are no pairs, the files do not have equally many lines, or one is malformed.
        OSError: when one cannot be read.
    """
    files = list(tables_of(paths))
    if any(is_table(path) for path in files):
        tables = (_table(path, source_column, target_column, format) for path in files)
        rows = (row for table in tables for row in table)
    else:
        rows = _parallel(files)
    total = kept = 0
    for row in rows:
        total += 1
        pair = row[0].strip(), row[1].strip()
        if all(pair):
            kept += 1
            yield pair
    named = ", ".join(map(str, paths))
    if not kept:
        raise ValueError(f"{named}: there are no pairs in it; expected a source and a target in each row")
    if kept < total:
        notice(f"{named}: {total - kept:,} of {total:,} pairs have an empty side and are skipped")


def _table(path: Path, source_column: str | None, target_column: str | None, format: TableFormat) -> Iterator[Pair]:
    source, target = columns = _columns(path, source_column, target_column, format)
    found = ((row[0], row[1]) for _, row in table_rows(path, columns, texts=columns, format=format))
    if source_column is None and target_column is None and (source, target) != _NAMES:
        yield from _checked(path, found)
    else:
        yield from found


def source_column_of(path: Path, given: str | None, format: TableFormat = PLAIN) -> str:
    """The column of the sources in a table that need not have targets: see `read_pairs`.

    Raises:
        ValueError, OSError: as `read_columns`.
    """
    if given is not None:
        return given
    return _NAMES[0] if _has_names(path) or _NAMES[0] in column_names(path, format) else "1"


def _columns(path: Path, source: str | None, target: str | None, format: TableFormat) -> Pair:
    """The columns to read."""
    if source is not None and target is not None:
        return source, target
    defaults = _NAMES if _has_names(path) or set(_NAMES) <= set(column_names(path, format)) else ("1", "2")
    return source or defaults[0], target or defaults[1]


def _checked(path: Path, rows: Iterator[Pair]) -> Iterator[Pair]:
    """The rows, unless the first looks like the names of the columns, which would be learned and scored as a pair."""
    first = next(rows)
    yield first
    if first[0] == first[1] or not _are_names(first):
        yield from rows
        return
    count = words = 0
    codes = all(map(_LANGUAGE.fullmatch, first))
    for row in () if codes else rows:
        count += 1
        words += _are_names(row)
        yield row
    if codes or (count and 10 * words <= count):
        source, target = first
        raise ValueError(
            f"{path}: line 1: {source!r} and {target!r} look like names of columns; give --source-column {source} "
            f"--target-column {target}, or --source-column 1 --target-column 2 if they are a pair"
        )


def _are_names(row: Pair) -> bool:
    return all(map(_NAME.fullmatch, row))


def _has_names(path: Path) -> bool:
    return kind_of(path) not in (".csv", ".tsv")


def _parallel(paths: Sequence[Path]) -> Iterator[Pair]:
    if len(paths) != 2:
        raise ValueError(
            f"data: expected tables ({', '.join(SUFFIXES)}), or two text files whose lines belong together, the "
            f"sources first; got {', '.join(map(str, paths))}"
        )
    sources, targets = map(_lines, paths)
    for count, (source, target) in enumerate(itertools.zip_longest(sources, targets)):
        if source is None or target is None:
            more = 1 + sum(1 for _ in (sources if target is None else targets))
            counts = (count + more, count) if target is None else (count, count + more)
            raise ValueError(
                f"{paths[0]} has {counts[0]:,} lines and {paths[1]} {counts[1]:,}; in parallel files the lines belong "
                "together one by one"
            )
        yield source, target


def _lines(path: Path) -> Iterator[str]:
    # Not str.splitlines: that also splits at characters which are no line ends to anyone else.
    rest = ""
    for chunk in text_chunks(path, may_be_empty=True):
        *lines, rest = (rest + chunk).split("\n")
        yield from lines
    if rest:
        yield rest
