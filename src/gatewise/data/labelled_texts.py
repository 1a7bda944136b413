"""Texts and their labels, from tables or from a folder per class."""

from collections.abc import Callable, Sequence
from pathlib import Path

from gatewise.data.table_format import PLAIN, TableFormat
from gatewise.data.tables import read_columns
from gatewise.data.text import read_text

LabelledText = tuple[str, str]


def why_no_label(text: str) -> str | None:
    """What is wrong with a label; None where nothing is."""
    return None if text else "the label is empty"


def read_labelled_texts(
    paths: Sequence[Path],
    text_column: str,
    label_column: str,
    format: TableFormat = PLAIN,
    wrong: Callable[[str], str | None] = why_no_label,
) -> list[LabelledText]:
    """Texts and labels of tables and folders, in order.

    A folder holds a folder for each class, named as its label, with a text in each file.

    Args:
        paths: the tables and folders.
        text_column, label_column: the columns of tables.
        format: how tables are written.
        wrong: says what is wrong with a label, without the white space around it, if anything is.

    Raises:
        ValueError: when there are none, a label is wrong, a column is missing, or a file is malformed.
        OSError: when a file cannot be read.
    """
    examples: list[LabelledText] = []
    for path in paths:
        if path.is_dir():
            of_folder = _folder(path)
            for _, label in of_folder:
                if why := wrong(label):
                    raise ValueError(f"{path / label}: {why}")
            examples += of_folder
            continue
        rows = read_columns(path, (text_column, label_column), texts=(text_column,), format=format)
        for row, (text, label) in enumerate(rows):
            if why := wrong(label.strip()):
                raise ValueError(f"{rows.at(row)}: {why}")
            examples.append((text, label.strip()))
    return examples


def _folder(path: Path) -> list[LabelledText]:
    files = [
        (file, label.name)
        for label in sorted(path.iterdir())
        if label.is_dir() and not label.name.startswith(".")
        for file in sorted(label.rglob("*"))
        if file.is_file() and not file.name.startswith(".")
    ]
    if not files:
        raise ValueError(f"{path}: expected a folder for each class with a file for each text, found none")
    return [(read_text([file]), label) for file, label in files]
