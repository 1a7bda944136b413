"""Pairs of a source and its target, from tables or from two files whose lines belong together."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from gatewise.data.files import read_bytes
from gatewise.data.table_format import PLAIN, TableFormat
from gatewise.data.tables import SUFFIXES, column_names, is_table, kind_of, read_columns
from gatewise.data.text import decoded

Pair = tuple[str, str]

_NAMES = ("source", "target")
# What names of columns look like, among them codes of languages: en, de_DE.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_LANGUAGE = re.compile(r"[a-z]{2}([-_][A-Za-z]{2,4})?")


def read_pairs(
    paths: Sequence[Path],
    source_column: str | None = None,
    target_column: str | None = None,
    tell: Callable[[str], None] = lambda _: None,
    format: TableFormat = PLAIN,
) -> list[Pair]:
    """The pairs of tables, or of two parallel files.

    A pair with nothing on one side is left out.

    Args:
        paths: tables (.csv, .tsv, .jsonl, .parquet); or a text file of sources and one of targets, a line each.
        source_column: the name or the number (from 1) of the sources' column; by default source where the first line
            has source and target among its names, else the first.
        target_column: that of the targets; by default target, or the second.
        tell: is told how many pairs were left out, if any.
        format: how tables are written.

    Raises:
        ValueError: when there are no pairs, the files do not have equally many lines, or one is malformed.
        OSError: when one cannot be read.
    """
    if any(is_table(path) for path in paths):
        rows: list[Pair] = []
        for path in paths:
            source, target = _columns(path, source_column, target_column, format)
            found = [
                (row[0], row[1]) for row in read_columns(path, (source, target), texts=(source, target), format=format)
            ]
            if source_column is None and target_column is None and (source, target) != _NAMES:
                _check_no_names(path, found)
            rows += found
    else:
        rows = _parallel(paths)
    pairs = [(source.strip(), target.strip()) for source, target in rows]
    kept = [pair for pair in pairs if all(pair)]
    named = ", ".join(map(str, paths))
    if not kept:
        raise ValueError(f"{named}: there are no pairs in it; expected a source and a target in each row")
    if len(kept) < len(pairs):
        tell(f"{named}: {len(pairs) - len(kept):,} of {len(pairs):,} pairs have an empty side and are left out")
    return kept


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


def _check_no_names(path: Path, rows: Sequence[Pair]) -> None:
    """Refuse a first pair that looks like the names of the columns, which would be learned and scored as a pair."""
    source, target = rows[0]
    if source == target or not (_NAME.fullmatch(source) and _NAME.fullmatch(target)):
        return
    words = sum(bool(_NAME.fullmatch(one) and _NAME.fullmatch(other)) for one, other in rows[1:])
    codes = _LANGUAGE.fullmatch(source) and _LANGUAGE.fullmatch(target)
    if codes or (len(rows) > 1 and 10 * words <= len(rows) - 1):
        raise ValueError(
            f"{path}: line 1: {source!r} and {target!r} look like names of columns; give --source-column {source} "
            f"--target-column {target}, or --source-column 1 --target-column 2 if they are a pair"
        )


def _has_names(path: Path) -> bool:
    return kind_of(path) not in (".csv", ".tsv")


def _parallel(paths: Sequence[Path]) -> list[Pair]:
    if len(paths) != 2:
        raise ValueError(
            f"data: expected tables ({', '.join(SUFFIXES)}), or two text files whose lines belong together, the "
            f"sources first; got {', '.join(map(str, paths))}"
        )
    sources, targets = (_lines(path) for path in paths)
    if len(sources) != len(targets):
        raise ValueError(
            f"{paths[0]} has {len(sources):,} lines and {paths[1]} {len(targets):,}; in parallel files the lines "
            "belong together one by one"
        )
    return list(zip(sources, targets, strict=True))


def _lines(path: Path) -> list[str]:
    # Not str.splitlines: that also splits at characters which are no line ends to anyone else.
    lines = decoded(path, read_bytes(path)).split("\n")
    return lines[:-1] if lines[-1] == "" else lines
