"""The Python code of the pages runs unchanged."""

import subprocess
import sys

import pytest

from tests.pages import PROGRAMS, blocks


def test_there_are_programs():
    assert {"README.md", "docs/cells.md", "docs/layers.md"} <= set(PROGRAMS)


@pytest.mark.parametrize("page", PROGRAMS)
def test_it_runs(page, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(blocks(page, "python"))
    run = subprocess.run([sys.executable, "-W", "error", program], capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    if printed := blocks(page, "text"):
        assert run.stdout.split() == printed.split()
