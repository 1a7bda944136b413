"""Compiling the sources of a model to a library with the system's compiler."""

import os
import platform
import shlex
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gatewise.compiler.build import BuildError, find_compiler
from gatewise.compiler.flags import EXPORTED, EXPORTED_LINK, INSTRUCTION_SETS
from gatewise.interchange.c.sources import instruction_options


def library_name(name: str) -> str:
    """The name of the library of a model."""
    return f"lib{name}.so"


def build(folder: Path, name: str, *, options: Sequence[str] = (), sets: Sequence[str] | None = None) -> Path:
    """Compile ``NAME.cpp`` in a folder to a library beside it, for all instruction sets of the processor's family.

    Args:
        folder: the folder of the model.
        name: of the model.
        options: further options of the compiler.
        sets: instruction sets, by default all; of one alone there is no choice at run time.

    Returns:
        The library.

    Raises:
        ValueError: when there is no compiler, or it fails.
    """
    if sets is None:
        sets = tuple(INSTRUCTION_SETS) if platform.machine() in ("x86_64", "AMD64") else ("plain",)
    try:
        command = find_compiler(os.environ.get("CXX") or None).command
    except BuildError as error:
        raise ValueError(str(error)) from error
    last, *others = reversed(sets)
    macro = name.upper()
    library = folder / library_name(name)
    with tempfile.TemporaryDirectory(prefix=".build-", dir=folder) as work:

        def compiled(instruction_set: str) -> str:
            to = f"{work}/{instruction_set}.o"
            role = f"-D{macro}_KERNELS_ONLY" if instruction_set != last else f"-D{macro}_ALL_SETS" if others else ""
            own = [*EXPORTED, *options, *instruction_options(instruction_set), *filter(None, [role])]
            _run([*command, *own, "-c", str(folder / f"{name}.cpp"), "-o", to])
            return to

        with ThreadPoolExecutor(min(len(sets), os.cpu_count() or 1)) as pool:
            objects = list(pool.map(compiled, [last, *others]))  # first what runs on every processor
        made = f"{work}/{library.name}"
        _run([*command, *options, "-shared", *EXPORTED_LINK, *objects, "-o", made])
        os.replace(made, library)
    return library


def _run(command: Sequence[str]) -> None:
    run = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"}, check=False)
    if run.returncode:
        lines = [line for line in run.stderr.splitlines() if "error" in line] or run.stderr.splitlines()
        raise ValueError(f"the C++ compiler {shlex.join(command[:1])} failed: {lines[0] if lines else run.returncode}")
