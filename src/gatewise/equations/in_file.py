"""Cells in files of the user's own, named ``FILE.py:NAME``."""

import importlib.util
from pathlib import Path

from gatewise.equations.cell import Cell


def names_file(text: str) -> bool:
    """Whether a text has the form ``FILE.py:NAME``.

    >>> names_file("cells/mine.py:fast"), names_file("lstm")
    (True, False)
    """
    return text.rpartition(":")[0].endswith(".py")


def cell_in_file(text: str) -> Cell:
    """Run a file and take a cell from what it defines.

    Arguments:
        text: ``FILE.py:NAME``.

    Raises:
        ValueError: when the file cannot be run, or defines no such cell.
        OSError: when it cannot be read.
    """
    path, _, name = text.rpartition(":")
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(2, "there is no such file", path)
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (ValueError, OSError):
        raise  # among them DefinitionError, which says where
    except Exception as error:
        raise ValueError(f"{file} cannot be run: {type(error).__name__}: {error}") from error
    found = {key: value for key, value in vars(module).items() if isinstance(value, Cell)}
    if name not in found:
        listed = f"its cells are {', '.join(found)}" if found else "it defines no cell (see gatewise.cell)"
        raise ValueError(f"{file} has no cell {name!r}: {listed}")
    return found[name]
