import subprocess
from pathlib import Path

import pytest

from csrc.tests.build import ENGINE, build, compiler, runnable


@pytest.mark.skipif(compiler() is None, reason="no C++ compiler here")
@pytest.mark.parametrize("instruction_set", runnable())
def test_products_of_bfloat16_are_those_of_the_instruction(instruction_set: str, tmp_path: Path):
    program = tmp_path / "bfloat16"
    build([ENGINE / "tests" / "bfloat16.cpp"], instruction_set, program, "-O1")
    run = subprocess.run([program], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout
    assert " 0 failures" in run.stdout
