"""Words and tags in columns, a word per line, as CoNLL's shared tasks wrote them; CoNLL-U too."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from gatewise.data.files import read_bytes
from gatewise.data.text import decoded

TaggedWords = tuple[list[str], list[str]]

_UNIVERSAL = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
_SUFFIXES = (".conll", ".conllu", ".iob", ".bio", ".bioes", ".tsv", ".col")


def has_columns(path: Path) -> bool:
    """Whether the ending of a file's name says that it has a word per line."""
    return any(suffix in _SUFFIXES for suffix in path.suffixes)


def read_tagged_words(
    paths: Sequence[Path], word_column: str | None = None, tag_column: str | None = None
) -> list[TaggedWords]:
    """The sentences of files with a word per line and a blank line between sentences.

    Columns stand between tabs, or between white space where a line has no tab. Lines that begin with ``-DOCSTART-``
    are left out. A file whose name has ``.conllu`` in it is CoNLL-U: comments, words of several tokens (``3-4``) and
    empty nodes (``8.1``) are left out, and columns have names.

    Args:
        paths: the files.
        word_column: number (from 1), or name in CoNLL-U; by default the first, or ``form``.
        tag_column: likewise; by default the last, or ``upos``.

    Raises:
        ValueError: when a line has too few columns, or there is no sentence; with the line.
        OSError: when a file cannot be read.
    """
    return [
        ([word for word, _ in rows], [tag for _, tag in rows])
        for path in paths
        for rows in _sentences(path, (word_column, tag_column))
    ]


def read_words(paths: Sequence[Path], word_column: str | None = None) -> list[list[str]]:
    """The words alone.

    Raises:
        ValueError, OSError: as `read_tagged_words`.
    """
    return [[word for (word,) in rows] for path in paths for rows in _sentences(path, (word_column,))]


def _sentences(path: Path, columns: tuple[str | None, ...]) -> list[list[tuple[str, ...]]]:
    universal = ".conllu" in path.suffixes
    places = [
        _place(path, column, universal, default)
        for column, default in zip(columns, (1, 3) if universal else (0, -1), strict=False)
    ]
    found = list(_read(path, places, universal))
    if not found:
        raise ValueError(f"{path}: there are no words in it; expected a word per line")
    return found


def _place(path: Path, column: str | None, universal: bool, default: int) -> int:
    if column is None:
        return default
    if column.isdecimal() and int(column) > 0:
        return int(column) - 1
    if universal and column.lower() in _UNIVERSAL:
        return _UNIVERSAL.index(column.lower())
    names = f", or one of {', '.join(_UNIVERSAL)}" if universal else "; names are for files that end in .conllu"
    raise ValueError(f"{path}: no column {column!r}; expected a number from 1{names}")


def _read(path: Path, places: list[int], universal: bool) -> Iterator[list[tuple[str, ...]]]:
    rows: list[tuple[str, ...]] = []
    for number, line in enumerate(decoded(path, read_bytes(path)).split("\n"), 1):
        line = line.removesuffix("\r")
        if not line.strip():
            if rows:
                yield rows
            rows = []
            continue
        if line.startswith("-DOCSTART-") or (universal and line.startswith("#")):
            continue
        cells = line.split("\t") if "\t" in line else line.split()
        if universal and not cells[0].isdecimal():
            continue
        wanted = max(max(places) + 1, len(places))
        if len(cells) < wanted or not all(cells[place] for place in places):
            raise ValueError(f"{path}: line {number}: expected at least {wanted} columns, got {line!r}")
        rows.append(tuple(cells[place] for place in places))
    if rows:
        yield rows
