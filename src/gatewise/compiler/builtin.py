"""The C++ of the built-in cells, for the build of the package: ``python -m gatewise.compiler.builtin OUTPUT``."""

import sys
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from gatewise.cells import lookup, names
from gatewise.compiler.constants import constants
from gatewise.compiler.drop_bias import with_single_bias, without_bias
from gatewise.compiler.emit import emit
from gatewise.compiler.program import Program
from gatewise.equations.cell import Cell


def built_in() -> dict[str, tuple[Cell, str]]:
    """The cells compiled into the engine, with all, single and no biases, and their prefixes, by equations.

    A prefix has a digest of the equations: an engine built before a cell was changed does not have it.
    """
    table: dict[str, tuple[Cell, str]] = {}
    for name in names():
        whole = lookup(name)
        forms = {
            name: whole,
            f"{name}_without_bias": without_bias(whole),
            f"{name}_single_bias": with_single_bias(whole),
        }
        for prefix, cell in forms.items():
            digest = sha256(cell.equations.encode()).hexdigest()[:8]
            table.setdefault(cell.equations, (cell, f"gatewise_{prefix}_{digest}"))
    return table


def translation_unit(programs: Iterable[Program]) -> str:
    """C++ that exports programs, each with its functions for every number type."""
    programs = tuple(programs)
    lines = [f'#include "{header}.h"' for header in ("activations", "cell", "program")]
    lines += ["namespace gatewise {", *(program.source for program in programs), *map(constants, programs)]
    return "\n".join([*lines, "} // namespace gatewise"]) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(
        translation_unit(emit(cell, prefix) for cell, prefix in built_in().values()), encoding="utf-8"
    )
