import subprocess
from pathlib import Path

import pytest

from csrc.tests.build import ENGINE, build, compiler, runnable
from csrc.tests.cells import table
from gatewise.compiler.builtin import built_in
from gatewise.kernels.cpu.library import FOLDER
from tests.combinations import ALL
from tests.kernels.engine import needs_engine

pytestmark = pytest.mark.skipif(compiler() is None, reason="no C++ compiler here")


@needs_engine
def test_every_built_in_cell_agrees_with_its_single_steps_and_differences_however_it_is_called(tmp_path: Path):
    """The installed engine; ``make sanitize`` drives every instruction set, more cells and shapes, under sanitizers."""
    (tmp_path / "table.cpp").write_text(table(prefix for _, prefix in built_in().values()))
    library = FOLDER / f"libgatewise_{runnable()[0]}.so"
    program = tmp_path / "drive"
    sources = [ENGINE / "tests" / "drive.cpp", tmp_path / "table.cpp", library]
    build(sources, "plain", program, "-O1", f"-Wl,-rpath,{FOLDER}")
    run = subprocess.run([program, *([] if ALL else ["half"])], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    assert " 0 failures" in run.stdout


def test_the_interface_is_c(tmp_path: Path):
    command = compiler()
    assert command is not None
    options = ("-x", "c", "-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only")
    subprocess.run([*command, *options, ENGINE / "api.h"], check=True)
