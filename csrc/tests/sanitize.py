"""Builds the driver with the emitted cells for each instruction set under each sanitizer, and runs it.

``python csrc/tests/sanitize.py FOLDER [INSTRUCTION_SET ...]``, with the package and the root of the tree on PYTHONPATH.
"""

import os
import subprocess
import sys
from pathlib import Path

from csrc.tests.build import ENGINE, build, compiler, runnable
from csrc.tests.cells import driven
from csrc.tests.describe import tables
from gatewise.compiler.builtin import translation_unit

# -O1: the code that runs is still vectors in registers, and reports name lines. NDEBUG is not defined.
SANITIZERS = {
    "address": ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
    "thread": ("-O1", "-g", "-fsanitize=thread"),
}
ENVIRONMENT = {"ASAN_OPTIONS": "detect_stack_use_after_return=1", "TSAN_OPTIONS": "halt_on_error=1"}


def main(folder: Path, instruction_sets: list[str]) -> None:
    """Build and run everything; the first that fails ends it."""
    if compiler() is None:
        sys.exit("there is no C++ compiler: set CXX to one")
    folder.mkdir(parents=True, exist_ok=True)
    programs = driven()
    (folder / "cells.h").write_text(tables(programs), encoding="utf-8")
    emitted = folder / "cells.cpp"
    emitted.write_text(translation_unit(programs.values()), encoding="utf-8")
    sources = [ENGINE / "tests" / "drive.cpp", ENGINE / "engine.cpp", emitted]
    for instruction_set in instruction_sets:
        for sanitizer, options in SANITIZERS.items():
            print(f"{instruction_set}, {sanitizer}:", flush=True)
            program = folder / f"drive_{instruction_set}_{sanitizer}"
            build(sources, instruction_set, program, *options, f"-I{folder}", f"-I{ENGINE / 'tests'}")
            if (code := subprocess.run([program], env={**os.environ, **ENVIRONMENT}).returncode) != 0:
                sys.exit(f"{program} ended with {code}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:] or runnable())
