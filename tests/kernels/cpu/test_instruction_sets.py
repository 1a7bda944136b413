"""Every instruction set that this processor runs agrees with the transcriptions of the papers."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from csrc.tests.build import runnable
from gatewise.cells import names
from tests.kernels.engine import needs_engine

ROOT = Path(__file__).parents[3]


@needs_engine
@pytest.mark.parametrize("instruction_set", runnable())
def test_agreement(instruction_set: str):
    environment = {
        **os.environ,
        "GATEWISE_ISA": instruction_set,
        "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT))),
        # The engine's own scratch, too, holds values that were never written: with glibc, large numbers.
        "MALLOC_PERTURB_": "1",
    }
    run = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.kernels.cpu.agreement"],
        capture_output=True,
        text=True,
        env=environment,
        cwd=ROOT,
    )
    assert run.returncode == 0, run.stderr
    count, used = run.stdout.split()
    assert used == instruction_set
    assert int(count) >= len(names()) * 4
