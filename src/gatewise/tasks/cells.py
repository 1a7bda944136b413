"""Cells as options: a name, or the canonical text of a user's cell."""

from gatewise.cells import lookup
from gatewise.equations import Cell
from gatewise.equations.load import is_file_reference, load_cell


def cell_of(option: str) -> Cell:
    """The cell that an option means.

    Raises:
        ValueError: for an unknown name, or a text that is not that of a cell.
    """
    return Cell.from_text(option) if "\n" in option else lookup(option)


def without_file(option: str) -> str:
    """The option itself, but for ``FILE.py:NAME``, which is run, the text of that cell: a run needs the file no more.

    Raises:
        ValueError, OSError: when the file cannot be executed or defines no such cell.
    """
    return load_cell(option).text if is_file_reference(option) else option


def is_cell(option: str) -> bool:
    """Whether an option of that name is a cell."""
    return option == "cell" or option.endswith("_cell")
