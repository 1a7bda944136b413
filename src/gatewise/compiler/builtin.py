"""The C++ of the built-in cells, for the build of the package: ``python -m gatewise.compiler.builtin OUTPUT``."""

import sys
from collections.abc import Iterable
from pathlib import Path

from gatewise.cells import lookup, names
from gatewise.compiler.emit import Program, emit
from gatewise.compiler.without import without_bias
from gatewise.equations.cell import Cell

NUMBERS = {"f32": "float", "f64": "double"}


def built_in() -> dict[str, tuple[Cell, str]]:
    """By their equations, the cells that are compiled into the engine, with and without bias, and their prefix."""
    table: dict[str, tuple[Cell, str]] = {}
    for name in names():
        for cell, prefix in ((lookup(name), name), (without_bias(lookup(name)), f"{name}_without_bias")):
            table.setdefault(cell.equations, (cell, f"gatewise_{prefix}"))
    return table


def translation_unit(programs: Iterable[Program]) -> str:
    """C++ that exports the functions of some programs, for every number type."""
    programs = tuple(programs)
    lines = ['#include "activations.h"', '#include "cell.h"', '#include "tile.h"', "namespace gatewise {"]
    lines += [program.source for program in programs]
    lines += ["} // namespace gatewise", "using namespace gatewise;"]
    for program in programs:
        for function in program.functions:
            for suffix, number in NUMBERS.items():
                lines.append(
                    f"GATEWISE_EXPORT void {function}_{suffix}(const Block<{number}> &b) {{ {function}<{number}>(b); }}"
                )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(
        translation_unit(emit(cell, prefix) for cell, prefix in built_in().values()), encoding="utf-8"
    )
