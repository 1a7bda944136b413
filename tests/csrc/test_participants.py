import subprocess
from pathlib import Path

import pytest

from csrc.tests.build import ENGINE, build, compiler


@pytest.mark.skipif(compiler() is None, reason="no C++ compiler here")
def test_fewer_threads_run_while_teams_lose(tmp_path: Path):
    program = tmp_path / "participants"
    build([ENGINE / "tests" / "participants.cpp"], "plain", program, "-O0")
    run = subprocess.run([program], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout
