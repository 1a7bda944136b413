import subprocess
from pathlib import Path

import pytest

from csrc.tests.build import ENGINE, build, compiler, runnable


@pytest.mark.skipif(compiler() is None, reason="no C++ compiler here")
@pytest.mark.parametrize("instruction_set", runnable())
def test_products_of_bytes_are_the_sums_of_integers(instruction_set: str, tmp_path: Path):
    program = tmp_path / "bytes"
    build([ENGINE / "tests" / "bytes.cpp"], instruction_set, program, "-O0")
    run = subprocess.run([program], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout
    assert " 0 failures" in run.stdout
