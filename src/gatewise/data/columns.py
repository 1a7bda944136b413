"""Words and tags in columns, a word per line, as CoNLL's shared tasks wrote them; CoNLL-U too."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from gatewise.data.column_rows import Lines, cells_of, read_rows
from gatewise.data.named_files import files_of
from gatewise.data.table_text import lines_of
from gatewise.data.tagged_tables import TAGS, WORDS, is_tagged_table, read_lists
from gatewise.data.text import RepeatedChunks, text_chunks
from gatewise.progress import tracked

Words = list[str] | list[tuple[str, ...]]
"""The words of a sentence, each with the cells of its feature columns where there are any."""
TaggedWords = tuple[Words, list[str]]

_UNIVERSAL = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
_SUFFIXES = (".conll", ".conllu", ".iob", ".bio", ".bioes", ".tsv", ".col")


def has_columns(path: Path) -> bool:
    """Whether the ending of a file's name says that it has words in columns, or lists of them in a table."""
    return any(suffix in _SUFFIXES for suffix in path.suffixes) or is_tagged_table(path)


def _ignore(text: str) -> None:
    """Drop a notice."""


class Columns(NamedTuple):
    """The columns of words and tags in files with a word per line and a blank line between sentences.

    Columns are separated by tabs where most lines have one, otherwise by spaces and tabs. Every row has the same
    number of columns; sentences may differ in it where the tag's column is named. Lines that begin with ``-DOCSTART-``
    are skipped. A file whose name has ``.conllu`` in it is CoNLL-U: comments, words of several tokens (``3-4``) and
    empty nodes (``8.1``) are skipped, and columns have names. JSON lines (``.jsonl``) and Parquet have a sentence in
    each row: a list of words in the column ``tokens`` and one of tags in ``tags``, or in those that are named.

    Attributes:
        word: number (from 1), or name in CoNLL-U; by default the first, or ``form``.
        tag: likewise; by default the last, or ``upos``.
        comments: what lines begin with that are comments, an empty string if none are. By default comments are the
            first lines of a sentence that begin with ``#`` and differ in form from the rows of words.
        features: columns that are read with each word.
    """

    word: str | None = None
    tag: str | None = None
    comments: str | None = None
    features: tuple[str, ...] = ()

    def tagged_words(self, paths: Iterable[Path], notice: Callable[[str], None] = _ignore) -> Iterator[TaggedWords]:
        """The sentences of files, one after another, little of which is in memory.

        Args:
            paths: files, patterns and folders, of which every file is read.
            notice: receives what the user should know, such as which lines were taken for comments.

        Raises:
            ValueError: when rows differ in their number of columns or have too few, or there is no sentence; with the
                line.
            OSError: when a file cannot be read.
        """
        for path in files_of(paths):
            if is_tagged_table(path):
                rows = self._rows_of_table(path, tagged=True)
            else:
                rows = self._sentences_of(path, _lines_of(path), self._column_indices(path, tagged=True), notice)
            for row in tracked(filter(None, rows), f"reading {path.name}", "sentences"):
                yield self._words([cells[1:] for _, cells in row]), [cells[0] for _, cells in row]

    def _rows_of_table(self, path: Path, *, tagged: bool) -> Iterator[list[tuple[str, tuple[str, ...]]]]:
        """The cells of each sentence with their location: the tag, if it is wanted, the word and its features."""
        names = [self.word or WORDS, *self.features, *[self.tag or TAGS] * tagged]
        for where, lists in read_lists(path, *names):
            ordered = [lists[-1], *lists[:-1]] if tagged else lists
            yield [(where, cells) for cells in zip(*ordered, strict=True)]

    def read_words(self, path: Path, notice: Callable[[str], None] = _ignore) -> Iterator[Words]:
        """The words alone, of a file.

        Raises:
            ValueError, OSError: as `tagged_words`.
        """
        if is_tagged_table(path):
            rows = self._rows_of_table(path, tagged=False)
            return (self._words([cells for _, cells in row]) for row in rows)
        return self._words_of(path, _lines_of(path), notice)

    def words_of(self, path: Path, text: str, notice: Callable[[str], None] = _ignore) -> Iterator[Words]:
        """The same of a text that was read.

        Args:
            path: what to call it.
            text: the text.
            notice: receives what the user should know.
        """
        return self._words_of(path, lambda: text.split("\n"), notice)

    def _words_of(self, path: Path, lines: Lines, notice: Callable[[str], None]) -> Iterator[Words]:
        sentences = self._sentences_of(path, lines, self._column_indices(path, tagged=False), notice)
        return (self._words([cells for _, cells in rows]) for rows in sentences)

    def tagged_share(self, path: Path, known: Callable[[str], bool]) -> float:
        """The share of a file's lines that have a known tag, and so are the rows of words.

        Args:
            path: the file.
            known: whether a tag is known.

        Raises:
            ValueError, OSError: when it is not UTF-8, or cannot be read.
        """
        index = _column_index(path, self.tag, False, -1)
        tagged = total = 0
        for line in _lines_of(path)():
            row = cells_of(line.removesuffix("\n").removesuffix("\r")) if line.strip(" \t\r\n") else []
            tagged += len(row) > max(1, index) and known(row[index])
            total += bool(row)
        return tagged / max(1, total)

    def locations_of_tags(self, paths: Iterable[Path]) -> Iterator[tuple[str, str]]:
        """The file and line of each tag, for errors, and the tag."""
        for path in files_of(paths):
            if is_tagged_table(path):
                for row in self._rows_of_table(path, tagged=True):
                    yield from ((where, cells[0]) for where, cells in row)
                continue
            for rows in self._sentences_of(path, _lines_of(path), self._column_indices(path, tagged=True), _ignore):
                yield from ((f"{path}: line {line}", cells[0]) for line, cells in rows)

    def _words(self, rows: list[tuple[str, ...]]) -> Words:
        return rows if self.features else [word for (word,) in rows]

    def _column_indices(self, path: Path, *, tagged: bool) -> list[int]:
        """The indices of the columns to read, from 0: the tag, if it is read, the word, the features."""
        universal = ".conllu" in path.suffixes
        word, tag = (1, 3) if universal else (0, -1)
        return [
            *([_column_index(path, self.tag, universal, tag)] if tagged else []),
            _column_index(path, self.word, universal, word),
            *(_column_index(path, feature, universal, 0) for feature in self.features),
        ]

    def _sentences_of(
        self, path: Path, lines: Lines, indices: Sequence[int], notice: Callable[[str], None]
    ) -> Iterator[list[tuple[int, tuple[str, ...]]]]:
        universal = ".conllu" in path.suffixes
        comments = None if self.comments is None else (self.comments,) * (self.comments != "")
        if universal:
            comments = ("#", *(comments or ()))
        found = False
        for rows in read_rows(
            path,
            lines,
            comments=comments,
            least=max(max(indices) + 1, len(indices)),
            varying=self.tag is not None and not universal,
            notice=notice,
        ):
            kept = [row for row in rows if not universal or row.cells[0].isdecimal()]
            for line, cells in kept:
                if not all(cells[index] for index in indices):
                    what = "word, tag or feature" if self.features else "word or tag"
                    raise ValueError(f"{path}: line {line}: empty {what} in {' '.join(cells)!r}")
                if self.features and len({index % len(cells) for index in indices}) < len(indices):
                    raise ValueError(
                        f"{path}: line {line}: a feature column is that of the word or tag too, in {' '.join(cells)!r}"
                    )
            if kept:
                found = True
                yield [(line, tuple(cells[index] for index in indices)) for line, cells in kept]
        if not found:
            raise ValueError(f"{path}: there are no words in it; expected a word per line")


def _lines_of(path: Path) -> Lines:
    """Reads the lines of a file, once where it is not large."""
    chunks = RepeatedChunks(lambda: text_chunks(path, may_be_empty=True))
    return lambda: lines_of(chunks.read(), "\n")


def _column_index(path: Path, column: str | None, universal: bool, default: int) -> int:
    if column is None:
        return default
    if column.isdecimal() and int(column) > 0:
        return int(column) - 1
    if universal and column.lower() in _UNIVERSAL:
        return _UNIVERSAL.index(column.lower())
    names = f", or one of {', '.join(_UNIVERSAL)}" if universal else "; names are for files that end in .conllu"
    raise ValueError(f"{path}: no column {column!r}; expected a number from 1{names}")
