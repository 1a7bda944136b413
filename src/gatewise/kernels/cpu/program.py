"""Programs of cells for the engine, built in or compiled at first use."""

import ctypes
from functools import lru_cache
from typing import NamedTuple

from gatewise.compiler.build import PREFIX, BuildError
from gatewise.compiler.builtin import built_in
from gatewise.compiler.constants import symbol
from gatewise.compiler.emit import emit
from gatewise.compiler.program import EmitError
from gatewise.equations import Cell
from gatewise.equations.operations.operation import MissingImplementation
from gatewise.kernels.cpu import user_cells
from gatewise.kernels.cpu.library import engine


class Loaded(NamedTuple):
    """A program loaded into this process.

    Attributes:
        address: address of the engine's `Program`.
        saved_blocks: K, number of blocks of H units saved for backward per row.
        states: number of states.
        gates: number of blocks of H rows in the first parameter.
        saved_row_values: number of single values saved for backward per row.
        projection: None, or for a cell with states of the width P the number of blocks of P units saved for backward
            per row, the states of that width by the bits of a number, and where H and P are found: the number of a
            parameter, the axis of its tensor, and the number of blocks along it.
        divided: the number of a parameter whose matrices are divided into heads; −1 for a cell without.
    """

    address: int
    saved_blocks: int
    states: int
    gates: int
    saved_row_values: int
    projection: tuple[int, ...] | None
    divided: int


# By equations. Failures are cached, so that a layer does not change its backend from call to call.
_found: dict[str, Loaded | BuildError] = {}
_prefixes = lru_cache(maxsize=1)(built_in)


def refusal(cell: Cell) -> str | None:
    """The reason why a cell has no program, or None; compiles user-defined cells at first use."""
    found = _found.get(cell.equations)
    if found is None:
        found = _found[cell.equations] = _find(cell)
    return str(found) if isinstance(found, BuildError) else None


def ready(cell: Cell) -> Loaded | None:
    """The program of a cell if it is loaded; None also if it could not be."""
    found = _found.get(cell.equations)
    return found if type(found) is Loaded else None


def loaded(cell: Cell) -> Loaded:
    """The program of a cell for which `refusal` returns None."""
    found = _found.get(cell.equations)
    if found is None:
        refusal(cell)
        found = _found[cell.equations]
    assert not isinstance(found, BuildError), "call refusal first"
    return found


def _find(cell: Cell) -> Loaded | BuildError:
    _, prefix = _prefixes().get(cell.equations, (cell, ""))
    # In a source tree the engine may be older than a cell, which is then compiled like a user's.
    if prefix and hasattr(engine().library, symbol(prefix)):
        return _loaded(engine().library, prefix, cell)
    try:
        program = emit(Cell.from_equations(cell.equations), PREFIX)
        return _loaded(user_cells.load(program, cell.name, engine().instruction_set), PREFIX, cell)
    except BuildError as error:
        return error
    except (EmitError, MissingImplementation) as error:
        return user_cells.failure(cell.name, error)


def _loaded(library: ctypes.CDLL, prefix: str, cell: Cell) -> Loaded:
    address = ctypes.addressof(ctypes.c_char.in_dll(library, symbol(prefix)))
    blocks, projections, row_values = engine().saved(address)
    found = None
    if cell.projected:
        group, axis = cell.projection_axis
        gates = [len(cell.gates_of(cell.groups[one])) for one in (cell.hidden_group, group)]
        narrow = sum((width == "P") << number for number, width in enumerate(cell.widths))
        found = (projections, narrow, cell.hidden_group, 0, gates[0], group, axis, 1 if axis else gates[1])
    divided = cell.groups.index(cell.heads[0]) if cell.heads else -1
    return Loaded(address, blocks, len(cell.states), len(cell.gates_of(cell.groups[0])), row_values, found, divided)
