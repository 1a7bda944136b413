"""Rows of files with a word per line: what separates columns, which lines are comments, how many columns there are."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

Lines = Callable[[], Iterable[str]]
"""Reads the lines of a file from the first one, whenever it is called."""

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
    path: Path,
    lines: Lines,
    *,
    comments: tuple[str, ...] | None,
    least: int,
    varying: bool,
    notice: Callable[[str], None],
) -> Iterator[list[Row]]:
    """The rows of each sentence; a blank line ends one, and lines that begin with ``-DOCSTART-`` are skipped.

    Columns are separated by tabs where most lines have one, otherwise by spaces and tabs. As this and what is a comment
    follow from all lines, they are read up to four times, each time one after another, which takes little memory.

    Args:
        path: the file, for errors.
        lines: reads its lines, from the first one.
        comments: what lines begin with that are comments. None: comments are the first lines of a sentence that begin
            with ``#`` and differ in form from the rows of words.
        least: how many columns there must be.
        varying: whether sentences may differ in their number of columns; within one it is always the same.
        notice: receives what the user should know, once all lines are read.

    Raises:
        ValueError: for a row with another number of columns, or one that may be a comment or not; with the line.
    """

    def sentences() -> Iterator[list[_Line]]:
        return _sentences(lines(), comments or ())

    separator = _separator(sentences())
    found = _Comments.of(sentences(), separator) if comments is None else None

    def rows(skipped: list[_Line]) -> Iterator[list[Row]]:
        kept = sentences() if found is None else found.skipped(path, sentences(), separator, skipped)
        return ([Row(line.number, separator.cells(line.text)) for line in sentence] for sentence in kept)

    width = None if varying else _width(row for sentence in rows([]) for row in sentence)
    skipped: list[_Line] = []
    for sentence in rows(skipped):
        _check_widths(path, sentence, _width(sentence) if width is None else width, least)
        yield sentence
    if skipped:
        first, count = skipped[0], len(skipped)
        notice(
            f"{path}: skipped {count:,} comment line{'s' if count > 1 else ''}, the first in line {first.number}: "
            f"{first.text[:60]!r}"
        )


def _sentences(lines: Iterable[str], comments: tuple[str, ...]) -> Iterator[list[_Line]]:
    found: list[_Line] = []
    for number, line in enumerate(lines, 1):
        line = line.removesuffix("\n").removesuffix("\r")
        if not line.strip(" \t"):
            if found:
                yield found
            found = []
        elif not line.startswith(("-DOCSTART-", *comments)):
            found.append(_Line(number, line))
    if found:
        yield found


def _separator(sentences: Iterable[Sequence[_Line]]) -> _Separator:
    marked, words = [0, 0], [0, 0]
    for sentence in sentences:
        for line in sentence:
            counts = marked if line.text.startswith(_MARK) else words
            counts["\t" in line.text] += 1
    without, with_tab = words if any(words) else marked
    return _Separator(tabs=with_tab > without)


class _Comments(NamedTuple):
    """Which lines are comments: the first ones of sentences that begin so and have a form that no row of words has.

    Attributes:
        forms: those of the rows of words.
        everywhere: whether each of several sentences begins as a comment does.
    """

    forms: set[tuple[str, ...]]
    everywhere: bool

    @classmethod
    def of(cls, sentences: Iterable[Sequence[_Line]], separator: _Separator) -> "_Comments":
        forms = set[tuple[str, ...]]()
        total, begun = 0, 0
        for sentence in sentences:
            count = _count_marked(sentence)
            forms.update(separator.form(line.text) for line in sentence[count:])
            total, begun = total + 1, begun + (count > 0)
        return cls(forms, total > 2 and begun == total)

    def skipped(
        self, path: Path, sentences: Iterable[list[_Line]], separator: _Separator, comments: list[_Line]
    ) -> Iterator[list[_Line]]:
        """The sentences without their comments, which are added to a list."""
        for sentence in sentences:
            count = _count_marked(sentence) if self.forms else 0
            end = next((n for n in range(count) if separator.form(sentence[n].text) in self.forms), count)
            if count and end == 0 and self.everywhere and _BLANKS.match(sentence[0].text, len(_MARK)):
                raise ValueError(
                    f"{path}: line {sentence[0].number}: {sentence[0].text!r}: a comment, as every sentence begins "
                    f"with {_MARK}, or a word, as it has the form of the other rows? Give --comments '{_MARK} ' if "
                    "these are comments, --comments '' if they are words"
                )
            comments += sentence[:end]
            if end < len(sentence):
                yield sentence[end:]


def _count_marked(sentence: Sequence[_Line]) -> int:
    """How many lines at the beginning of a sentence begin as a comment."""
    return next((n for n, line in enumerate(sentence) if not line.text.startswith(_MARK)), len(sentence))


def _width(rows: Iterable[Row]) -> int:
    """The number of columns that most rows have; 0 where there are none."""
    return next((width for width, _ in Counter(len(row.cells) for row in rows).most_common(1)), 0)


def _check_widths(path: Path, rows: Sequence[Row], width: int, least: int) -> None:
    wrong = next((row for row in rows if len(row.cells) < least or len(row.cells) != width >= least), None)
    if wrong is not None:
        expected = f"at least {least} columns" if width < least else f"{width} columns, as in the other rows"
        text = " ".join(wrong.cells)[:60]
        hint = "; if it is a comment, name its beginning with --comments" if text.startswith(_MARK) else ""
        raise ValueError(f"{path}: line {wrong.line}: expected {expected}, got {len(wrong.cells)}: {text!r}{hint}")
