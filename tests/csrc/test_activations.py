import subprocess
from pathlib import Path

import pytest

from csrc.tests.build import ENGINE, build, compiler, runnable


@pytest.mark.skipif(compiler() is None, reason="no C++ compiler here")
@pytest.mark.parametrize("instruction_set", runnable())
def test_activations_are_within_4_ulp_and_right_at_special_values(instruction_set: str, tmp_path: Path):
    program = tmp_path / "accuracy"
    build([ENGINE / "tests" / "accuracy.cpp"], instruction_set, program)
    run = subprocess.run([program], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout
    checks = (ENGINE / "tests" / "accuracy.cpp").read_text().count("  check<T>({")
    assert checks >= 4
    assert run.stdout.count(" ulp ") == 2 * checks  # in both number types
