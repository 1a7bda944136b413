"""The built-in cells, one file each: the citation, the equations, the roles of the gates and notes.

Every module of this package defines the cell of its own name and is found by being there; nothing else lists it.
"""

import difflib
import importlib
import pkgutil

from gatewise.equations import Cell


def _discover() -> dict[str, Cell]:
    found: dict[str, Cell] = {}
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name):
        cell = getattr(importlib.import_module(f"{__name__}.{module.name}"), module.name, None)
        assert isinstance(cell, Cell), f"cells/{module.name}.py must define a cell named {module.name}"
        found[module.name] = cell
    return found


_BUILT_IN = _discover()
globals().update(_BUILT_IN)  # gatewise.cells.lstm is the cell, not the module that defines it


def names() -> tuple[str, ...]:
    """The names of the built-in cells, sorted."""
    return tuple(_BUILT_IN)


def lookup(name: str) -> Cell:
    """The built-in cell with this name.

    Raises:
        ValueError: for an unknown name; the message lists the known ones.

    >>> lookup("gru_chung2014").gates
    ('r', 'z', 'n')
    """
    if name not in _BUILT_IN:
        lower = name.lower()
        near = [one for one in _BUILT_IN if one.startswith(lower)] or difflib.get_close_matches(lower, _BUILT_IN, n=1)
        meant = f"; did you mean {' or '.join(near)}?" if lower and near else "."
        raise ValueError(f"unknown cell {name!r}{meant} The cells are: {', '.join(_BUILT_IN)}")
    return _BUILT_IN[name]


__all__ = ["lookup", "names", *_BUILT_IN]  # pyright: ignore[reportUnsupportedDunderAll]
