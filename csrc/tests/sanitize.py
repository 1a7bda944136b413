"""Builds the driver with the emitted cells for each instruction set under each sanitizer, and runs it.

``python csrc/tests/sanitize.py FOLDER [INSTRUCTION_SET ...]``, with the package and the root of the tree on PYTHONPATH.
"""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from csrc.tests.build import ENGINE, build, compiler, runnable
from csrc.tests.cells import driven
from csrc.tests.describe import tables
from gatewise.compiler.builtin import translation_unit

# -O1: the code that runs is still vectors in registers, and reports name lines. NDEBUG is not defined. GCC 12 takes
# AVX-512's own "any value" for a mistake (its bug 105593).
OPTIONS = ("-O1", "-g1", "-Wno-uninitialized")
SANITIZERS = {
    "address": ("-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
    "thread": ("-fsanitize=thread",),
}
ENVIRONMENT = {"ASAN_OPTIONS": "detect_stack_use_after_return=1", "TSAN_OPTIONS": "halt_on_error=1"}


def main(folder: Path, instruction_sets: list[str]) -> None:
    """Build and run everything; the first that fails ends it."""
    if compiler() is None:
        sys.exit("there is no C++ compiler: set CXX to one")
    folder.mkdir(parents=True, exist_ok=True)
    programs = driven()
    emitted, described = folder / "cells.cpp", folder / "tables.cpp"
    emitted.write_text(translation_unit(programs.values()), encoding="utf-8")
    described.write_text(tables(programs), encoding="utf-8")
    include = (f"-I{ENGINE / 'tests'}",)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        # One for all: it is only read, and a sanitizer takes a minute over it.
        table = folder / "tables.o"
        compiled = [pool.submit(build, [described], "plain", table, "-c", "-O0", *include)]
        drivers: list[tuple[str, str, list[Path]]] = []
        for instruction_set in instruction_sets:
            for sanitizer, options in SANITIZERS.items():
                objects: list[Path] = []
                for source in (ENGINE / "tests" / "drive.cpp", emitted, ENGINE / "engine.cpp"):
                    objects.append(folder / f"{source.stem}_{instruction_set}_{sanitizer}.o")
                    arguments = ([source], instruction_set, objects[-1], "-c", *OPTIONS, *options, *include)
                    compiled.append(pool.submit(build, *arguments))
                drivers.append((instruction_set, sanitizer, objects))
        try:
            for one in compiled:
                one.result()
        except subprocess.CalledProcessError as error:
            pool.shutdown(cancel_futures=True)
            sys.exit(f"it does not compile: {error}")
    for instruction_set, sanitizer, objects in drivers:
        print(f"{instruction_set}, {sanitizer}: ", end="", flush=True)
        program = folder / f"drive_{instruction_set}_{sanitizer}"
        build([*objects, table], instruction_set, program, *SANITIZERS[sanitizer])
        if (code := subprocess.run([program], env={**os.environ, **ENVIRONMENT}).returncode) != 0:
            sys.exit(f"{program} ended with {code}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:] or runnable())
