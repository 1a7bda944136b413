"""Cells compiled as one translation unit, which the engine then finds beside the built-in ones."""

import ctypes
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from csrc.tests.build import ENGINE, compiler
from gatewise.compiler.builtin import built_in, translation_unit
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
    # They run for moments: fast to compile matters more.
    options = [*flags(engine(torch.float64).instruction_set), "-O1", f"-I{ENGINE}", "-shared"]
    run = subprocess.run([*command, *options, source, "-o", library], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "error" not in run.stderr
    loaded = ctypes.CDLL(str(library))
    _forget_programs()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program, "prefixes", lambda: {**built_in(), **table})
        patch.setattr(program, "engine", lambda dtype: SimpleNamespace(library=loaded))
        yield
    _forget_programs()


def _forget_programs() -> None:
    """Cells are known by their equations, and here some of other tests have functions of other names."""
    for known in (program.program, program.template, program.functions):
        known.cache_clear()
