"""Builds the C++ tests with the emitted cells for each instruction set under each sanitizer, and runs them.

``python csrc/tests/sanitize.py FOLDER [INSTRUCTION_SET ...]``, with the package and the root of the tree on PYTHONPATH.
"""

import os
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from csrc.tests.build import ENGINE, build, compiler, runnable
from csrc.tests.cells import driven, table
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
    emitted = folder / "cells.cpp"
    emitted.write_text(translation_unit(programs.values()), encoding="utf-8")
    (folder / "table.cpp").write_text(table(programs), encoding="utf-8")
    tests = ENGINE / "tests"
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        compiled: list[Future[None]] = []

        def compile_all(sources: list[Path], instruction_set: str, sanitizer: str, which: str) -> list[Path]:
            objects = [folder / f"{source.stem}_{which}_{sanitizer}.o" for source in sources]
            for source, to in zip(sources, objects, strict=True):
                options = ("-c", *OPTIONS, *SANITIZERS[sanitizer])
                compiled.append(pool.submit(build, [source], instruction_set, to, *options))
            return objects

        # The driver knows no instruction set, only the C interface.
        driver = {
            one: compile_all([tests / "drive.cpp", folder / "table.cpp"], "plain", one, "any") for one in SANITIZERS
        }
        runs: list[tuple[str, str, str, list[Path]]] = []
        for instruction_set in instruction_sets:
            for sanitizer, arguments in (("address", ""), ("thread", "threads")):
                engine = compile_all([ENGINE / "engine.cpp", emitted], instruction_set, sanitizer, instruction_set)
                runs.append((instruction_set, sanitizer, arguments, [*driver[sanitizer], *engine]))
            for name in ("products.cpp", "bytes.cpp", "bfloat16.cpp"):
                runs.append(
                    (
                        instruction_set,
                        "address",
                        "",
                        compile_all([tests / name], instruction_set, "address", instruction_set),
                    )
                )
        try:
            for one in compiled:
                one.result()
        except subprocess.CalledProcessError as error:
            pool.shutdown(cancel_futures=True)
            sys.exit(f"it does not compile: {error}")
    for instruction_set, sanitizer, arguments, objects in runs:
        name = objects[0].stem.split("_")[0]
        print(f"{name}, {instruction_set}, {sanitizer}: ", end="", flush=True)
        program = folder / f"{name}_{instruction_set}_{sanitizer}"
        build(objects, instruction_set, program, *SANITIZERS[sanitizer])
        command = [str(program), *arguments.split()]
        if (code := subprocess.run(command, env={**os.environ, **ENVIRONMENT}).returncode) != 0:
            sys.exit(f"{program} ended with {code}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:] or runnable())
