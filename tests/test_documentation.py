"""The Python code of the pages runs unchanged."""

import os
import runpy
import warnings

import pytest

from tests.forked import Forked
from tests.pages import PROGRAMS, blocks


def test_there_are_programs():
    assert {"README.md", "docs/cells.md", "docs/layers.md"} <= set(PROGRAMS)


@pytest.mark.parametrize("page", PROGRAMS)
def test_it_runs(page, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(blocks(page, "python"))
    printed, errors = tmp_path / "printed", tmp_path / "errors"
    process = Forked(run_program, program, printed, errors)
    assert process.wait() == 0, errors.read_text()
    if expected := blocks(page, "text"):
        assert printed.read_text().split() == expected.split()


def run_program(program, *outputs):
    """Run a program as Python does with ``-W error``, with its output and errors in two files."""
    os.chdir(program.parent)
    for number, output in enumerate(outputs, 1):
        os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT), number)
    warnings.simplefilter("error")
    runpy.run_path(str(program), run_name="__main__")
