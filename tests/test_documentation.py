"""The Python that the pages show runs as it stands there.

All ```python blocks of a page are one program, and its ```text blocks are what that prints. What takes minutes
(training) is shown in {code-block} instead.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = {str(page.relative_to(ROOT)): page.read_text() for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]}


def blocks(page: str, language: str) -> str:
    """The blocks of a page in a language, one after the other."""
    return "\n".join(re.findall(rf"^```{language}\n(.*?)^```", PAGES[page], flags=re.MULTILINE | re.DOTALL))


PROGRAMS = sorted(page for page in PAGES if blocks(page, "python"))


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
