"""Load cells from users' files by a reference ``FILE.py:NAME``."""

import importlib.util
from pathlib import Path

from gatewise.equations.cell import Cell


def is_file_reference(text: str) -> bool:
    """Whether a text has the form ``FILE.py:NAME``.

    >>> is_file_reference("cells/mine.py:fast"), is_file_reference("lstm")
    (True, False)
    """
    return text.rpartition(":")[0].endswith(".py")


def load_cell(text: str) -> Cell:
    """Execute a file and return one of the cells it defines.

    Args:
        text: ``FILE.py:NAME``.

    Raises:
        ValueError: when executing the file fails, or it does not define the cell.
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
        raise  # includes DefinitionError, which names the line
    except Exception as error:
        raise ValueError(f"{file} cannot be executed: {type(error).__name__}: {error}") from error
    found = {key: value for key, value in vars(module).items() if isinstance(value, Cell)}
    if name not in found:
        listed = f"its cells are {', '.join(found)}" if found else "it defines no cell (see gatewise.cell)"
        raise ValueError(f"{file} has no cell {name!r}: {listed}")
    return found[name]
