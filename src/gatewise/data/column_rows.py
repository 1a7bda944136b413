"""Rows of files with a word per line: what separates columns, which lines are comments, how many columns there are."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

_MARK = "#"
_BLANKS = re.compile("[ \t]+")


class Row(NamedTuple):
    """The cells of a line, counted from 1."""

    line: int
    cells: list[str]


class _Line(NamedTuple):
    number: int
    text: str


class _Separator(NamedTuple):
    """What separates columns: tabs, or any spaces and tabs."""

    tabs: bool

    def cells(self, line: str) -> list[str]:
        return line.rstrip(" ").split("\t") if self.tabs else _BLANKS.split(line.strip(" \t"))

    def form(self, line: str) -> tuple[str, ...]:
        """The separators of a line in their order; what two rows of one file have in common."""
        if self.tabs:
            return ("\t",) * line.count("\t")
        return tuple("\t" if "\t" in blanks else " " for blanks in _BLANKS.findall(line.strip(" \t")))


def cells_of(line: str) -> list[str]:
    """The cells of a line alone: between tabs if it has one, otherwise between spaces."""
    return _Separator(tabs="\t" in line).cells(line)


def read_rows(
    path: Path, text: str, *, comments: tuple[str, ...] | None, least: int, varying: bool, notice: Callable[[str], None]
) -> list[list[Row]]:
    """The rows of each sentence; a blank line ends one, and lines that begin with ``-DOCSTART-`` are skipped.

    Columns are separated by tabs where most lines have one, otherwise by spaces and tabs.

    Args:
        path: the file, for errors.
        text: its content.
        comments: what lines begin with that are comments. None: comments are the first lines of a sentence that begin
            with ``#`` and differ in form from the rows of words.
        least: how many columns there must be.
        varying: whether sentences may differ in their number of columns; within one it is always the same.
        notice: receives what the user should know.

    Raises:
        ValueError: for a row with another number of columns, or one that may be a comment or not; with the line.
    """
    sentences = _sentences(text, comments or ())
    separator = _separator(sentences)
    if comments is None:
        sentences = _without_comments(path, sentences, separator, notice)
    rows = [[Row(line.number, separator.cells(line.text)) for line in sentence] for sentence in sentences]
    for group in rows if varying or not rows else [[row for sentence in rows for row in sentence]]:
        _check_widths(path, group, least)
    return rows


def _sentences(text: str, comments: tuple[str, ...]) -> list[list[_Line]]:
    found: list[list[_Line]] = [[]]
    for number, line in enumerate(text.split("\n"), 1):
        line = line.removesuffix("\r")
        if not line.strip(" \t"):
            found.append([])
        elif not line.startswith(("-DOCSTART-", *comments)):
            found[-1].append(_Line(number, line))
    return [sentence for sentence in found if sentence]


def _separator(sentences: Sequence[Sequence[_Line]]) -> _Separator:
    lines = [line.text for sentence in sentences for line in sentence]
    words = [line for line in lines if not line.startswith(_MARK)] or lines
    return _Separator(tabs=2 * sum("\t" in line for line in words) > len(words))


def _without_comments(
    path: Path, sentences: list[list[_Line]], separator: _Separator, notice: Callable[[str], None]
) -> list[list[_Line]]:
    """Skip the first lines of sentences that begin as a comment and have a form that no row of words has."""
    marked = [_count_marked(sentence) for sentence in sentences]
    parts = list(zip(sentences, marked, strict=True))
    forms = {separator.form(line.text) for sentence, count in parts for line in sentence[count:]}
    if not forms:
        return sentences
    kept: list[list[_Line]] = []
    comments: list[_Line] = []
    for sentence, count in parts:
        end = next((n for n in range(count) if separator.form(sentence[n].text) in forms), count)
        comments += sentence[:end]
        kept.append(sentence[end:])
        if end == 0 and len(sentences) > 2 and all(marked) and _BLANKS.match(sentence[0].text, len(_MARK)):
            raise ValueError(
                f"{path}: line {sentence[0].number}: {sentence[0].text!r}: a comment, as every sentence begins with "
                f"{_MARK}, or a word, as it has the form of the other rows? Give --comments '{_MARK} ' if these are "
                "comments, --comments '' if they are words"
            )
    if comments:
        first, several = comments[0], "s" if len(comments) > 1 else ""
        notice(
            f"{path}: skipped {len(comments):,} comment line{several}, the first in line {first.number}: "
            f"{first.text[:60]!r}"
        )
    return [sentence for sentence in kept if sentence]


def _count_marked(sentence: Sequence[_Line]) -> int:
    """How many lines at the beginning of a sentence begin as a comment."""
    return next((n for n, line in enumerate(sentence) if not line.text.startswith(_MARK)), len(sentence))


def _check_widths(path: Path, rows: Sequence[Row], least: int) -> None:
    width = Counter(len(row.cells) for row in rows).most_common(1)[0][0]
    wrong = next((row for row in rows if len(row.cells) < least or len(row.cells) != width >= least), None)
    if wrong is not None:
        expected = f"at least {least} columns" if width < least else f"{width} columns, as in the other rows"
        text = " ".join(wrong.cells)[:60]
        hint = "; if it is a comment, name its beginning with --comments" if text.startswith(_MARK) else ""
        raise ValueError(f"{path}: line {wrong.line}: expected {expected}, got {len(wrong.cells)}: {text!r}{hint}")
