"""Texts and their labels, from tables or from a folder per class."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from gatewise.data.named_files import tables_of
from gatewise.data.table_format import PLAIN, TableFormat
from gatewise.data.tables import table_rows
from gatewise.data.text import read_text

LabelledText = tuple[str, str]


def why_no_label(text: str) -> str | None:
    """What is wrong with a label; None where nothing is."""
    return None if text else "the label is empty"


def labelled_texts(
    paths: Iterable[Path],
    text_column: str,
    label_column: str,
    format: TableFormat = PLAIN,
    wrong: Callable[[str], str | None] = why_no_label,
) -> Iterator[LabelledText]:
    """Texts and labels of tables and folders, in order, one after another.

    A folder of tables means all of them, see `tables_of`; any other holds a folder for each class, named as its
    label, with a text in each file.

    Args:
        paths: tables, patterns and folders.
        text_column, label_column: the columns of tables.
        format: how tables are written.
        wrong: says what is wrong with a label, without the white space around it, if anything is.

    Raises:
        ValueError: when there are none, a label is wrong, a column is missing, or a file is malformed.
        OSError: when a file cannot be read.
    """
    for path in tables_of(paths):
        if path.is_dir():
            for file, label in _folder(path):
                if why := wrong(label):
                    raise ValueError(f"{path / label}: {why}")
                yield read_text([file]), label
            continue
        for location, (text, label) in table_rows(
            path, (text_column, label_column), texts=(text_column,), format=format
        ):
            if why := wrong(label.strip()):
                raise ValueError(f"{location()}: {why}")
            yield text, label.strip()


def _folder(path: Path) -> list[tuple[Path, str]]:
    """The files of texts with their labels."""
    found = [
        (file, label.name)
        for label in sorted(path.iterdir())
        if label.is_dir() and not label.name.startswith(".")
        for file in sorted(label.rglob("*"))
        if file.is_file() and not file.name.startswith(".")
    ]
    if not found:
        raise ValueError(f"{path}: expected tables, or a folder for each class with a file for each text; found none")
    return found
