"""A cell as the engine runs it: the address of its program, built in or compiled at first use."""

import ctypes
from functools import lru_cache
from typing import NamedTuple

from gatewise.compiler.build import PREFIX, BuildError
from gatewise.compiler.builtin import built_in
from gatewise.compiler.constants import symbol
from gatewise.compiler.emit import EmitError, emit
from gatewise.equations import Cell
from gatewise.equations.operations.operation import MissingImplementation
from gatewise.kernels.cpu import user_cells
from gatewise.kernels.cpu.library import engine


class Loaded(NamedTuple):
    """A program in this process, which never leaves it.

    Attributes:
        address: of the engine's `Program`.
        saved_blocks: K, blocks of H units that a row of what is saved for backward has.
        states: how many states the cell has.
        gates: how many blocks of H rows its first parameter has.
    """

    address: int
    saved_blocks: int
    states: int
    gates: int


# By their equations. What failed is not tried again by the same process, so that a layer does not change its backend
# from call to call.
_found: dict[str, Loaded | BuildError] = {}
_prefixes = lru_cache(maxsize=1)(built_in)


def refusal(cell: Cell) -> str | None:
    """Why the program of a cell is not there, or None; compiles a cell that is not built in at its first use."""
    found = _found.get(cell.equations)
    if found is None:
        found = _found[cell.equations] = _find(cell)
    return str(found) if isinstance(found, BuildError) else None


def ready(cell: Cell) -> Loaded | None:
    """The program of a cell if it was asked for before; None too where it was refused."""
    found = _found.get(cell.equations)
    return found if type(found) is Loaded else None


def loaded(cell: Cell) -> Loaded:
    """The program of a cell that `refusal` does not refuse."""
    found = _found.get(cell.equations)
    if found is None:
        refusal(cell)
        found = _found[cell.equations]
    assert not isinstance(found, BuildError), "refusal is asked first"
    return found


def _find(cell: Cell) -> Loaded | BuildError:
    if cell.equations in _prefixes():
        return _loaded(engine().library, _prefixes()[cell.equations][1], cell)
    try:
        program = emit(Cell.from_equations(cell.equations), PREFIX)
        return _loaded(user_cells.load(program, cell.name, engine().instruction_set), PREFIX, cell)
    except BuildError as error:
        return error
    except (EmitError, MissingImplementation) as error:
        return user_cells.failure(cell.name, error)


def _loaded(library: ctypes.CDLL, prefix: str, cell: Cell) -> Loaded:
    address = ctypes.addressof(ctypes.c_char.in_dll(library, symbol(prefix)))
    return Loaded(address, engine().saved_blocks(address), len(cell.states), len(cell.gates_of(cell.groups[0])))
