"""The Python that the pages show runs as it stands there.

All ```python blocks of a page are one program. What takes minutes (training) is shown in {code-block} instead.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROGRAMS = {
    str(page.relative_to(ROOT)): "\n".join(blocks)
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    if (blocks := re.findall(r"^```python\n(.*?)^```", page.read_text(), flags=re.MULTILINE | re.DOTALL))
}


def test_there_are_programs():
    assert {"README.md", "docs/cells.md", "docs/layers.md"} <= PROGRAMS.keys()


@pytest.mark.parametrize("page", PROGRAMS)
def test_it_runs(page, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAMS[page])
    run = subprocess.run([sys.executable, "-W", "error", program], capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
