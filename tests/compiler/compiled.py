"""Cells compiled as one translation unit, which the engine then finds beside the built-in ones."""

import ctypes
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from csrc.tests.build import ENGINE, compiler
from gatewise.compiler.builtin import translation_unit
from gatewise.compiler.emit import emit
from gatewise.compiler.flags import flags
from gatewise.equations import Cell
from gatewise.kernels.cpu import program
from gatewise.kernels.cpu.library import engine


@contextmanager
def compiled_cells(table: Mapping[str, tuple[Cell, str]], folder: Path) -> Iterator[None]:
    """Let the engine run some cells: by their equations, the cell and the prefix of its functions."""
    source, library = folder / "cells.cpp", folder / "cells.so"
    source.write_text(translation_unit(emit(*one) for one in table.values()))
    command = compiler()
    assert command is not None
    # They run for moments: -O0 compiles in a third of the time of -O1.
    options = [*flags(engine().instruction_set, ENGINE), "-O0", f"-I{ENGINE}", "-shared"]
    run = subprocess.run([*command, *options, source, "-o", library], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "error" not in run.stderr
    loaded = ctypes.CDLL(str(library))
    with pytest.MonkeyPatch.context() as patch:
        for equations, (one, prefix) in table.items():
            patch.setitem(program._found, equations, program._loaded(loaded, prefix, one))
        yield
