"""Cells as options: a name, or the canonical text of a user's cell."""

from gatewise.cells import lookup
from gatewise.equations import Cell


def cell_of(option: str) -> Cell:
    """The cell that an option means.

    Raises:
        ValueError: for an unknown name, or a text that is not that of a cell.
    """
    return Cell.from_text(option) if "\n" in option else lookup(option)
