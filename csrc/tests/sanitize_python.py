"""Runs tests in Python on an engine that is built with AddressSanitizer, and on memory that is full of NaN.

``python csrc/tests/sanitize_python.py FOLDER TESTS ...``, with the package and the root of the tree on PYTHONPATH.
"""

import os
import subprocess
import sys
from pathlib import Path

from csrc.tests.build import ENGINE, build, compiler
from csrc.tests.sanitize import OPTIONS, SANITIZERS
from gatewise.compiler.builtin import built_in, translation_unit
from gatewise.compiler.emit import emit

# Chosen as it is loaded whatever the processor.
INSTRUCTION_SET = "plain"


def main(folder: Path, tests: list[str]) -> int:
    """Build the engine and run the tests; returns pytest's exit status."""
    if (command := compiler()) is None:
        sys.exit("there is no C++ compiler: set CXX to one")
    folder.mkdir(parents=True, exist_ok=True)
    emitted, library = folder / "cells.cpp", folder / f"libgatewise_{INSTRUCTION_SET}.so"
    emitted.write_text(translation_unit(emit(*one) for one in built_in().values()), encoding="utf-8")
    options = ("-shared", *OPTIONS, *SANITIZERS["address"])
    build([ENGINE / "engine.cpp", emitted], INSTRUCTION_SET, library, *options)
    build([ENGINE / "python" / "binding.cpp"], INSTRUCTION_SET, folder / "libgatewise_python.so", *options)
    # Python itself is built without the sanitizer, whose library must come first; libstdc++, too, or it misses throws.
    preloaded = [
        subprocess.run(
            [*command, f"-print-file-name={name}"], check=True, capture_output=True, text=True
        ).stdout.strip()
        for name in ("libasan.so", "libstdc++.so")
    ]
    environment = os.environ | {
        "LD_PRELOAD": " ".join(preloaded),
        # Python never frees some of its memory. What is allocated is all ones: NaN in both number types.
        "ASAN_OPTIONS": "detect_leaks=0:max_malloc_fill_size=1000000000:malloc_fill_byte=255",
        "MALLOC_PERTURB_": "1",
        "GATEWISE_ISA": INSTRUCTION_SET,
        "GATEWISE_TEST_ENGINE": str(folder.absolute()),
    }
    # What the sanitizer writes as it ends the process must not be kept by pytest.
    quiet = ("-q", "--capture=sys", "-p", "csrc.tests.sanitized", "-p", "no:cacheprovider")
    run = [sys.executable, "-m", "pytest", *quiet, *tests]
    return subprocess.run(run, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
