"""User-defined cells: compiled at first use, with a line on the standard error, and loaded."""

import ctypes
import sys
from contextlib import suppress
from pathlib import Path

from gatewise.compiler.build import ANOTHER_FOLDER, KEY_FUNCTION, BuildError, build
from gatewise.compiler.program import Program


def load(program: Program, name: str, instruction_set: str) -> ctypes.CDLL:
    """The library with a cell's functions.

    Args:
        program: the compiled cell.
        name: name of the cell, for messages.
        instruction_set: that of the engine.

    Raises:
        BuildError: when there is no compiler, it fails, or its result cannot be cached or loaded; also reported on the
            standard error.
    """
    try:
        path, key = build(
            program, instruction_set, lambda folder: _report(f"compiling cell {name} (once, kept in {folder})")
        )
        return _loaded(path, key)
    except BuildError as error:
        raise failure(name, error) from error


def failure(name: str, error: Exception) -> BuildError:
    """The error of a cell that does not run on the engine, which is also reported on the standard error."""
    failed = BuildError(f"cell {name} could not be compiled: {error}")
    _report(str(failed))
    return failed


def _loaded(path: Path, key: str) -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(str(path))
        key_function = getattr(library, KEY_FUNCTION)
    except (OSError, AttributeError) as error:
        # The folder may forbid execution, or the compiler may have changed.
        with suppress(OSError):
            path.unlink()
        raise BuildError(f"what was compiled cannot be loaded, and was removed: {error}; {ANOTHER_FOLDER}") from error
    key_function.restype = ctypes.c_char_p
    if key_function() != key.encode():
        raise BuildError(f"{path} was compiled for something else; remove it")
    return library


def _report(text: str) -> None:
    print(f"gatewise: {text}", file=sys.stderr, flush=True)
