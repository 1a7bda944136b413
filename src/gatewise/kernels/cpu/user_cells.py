"""Cells that are not built in: compiled at first use, with a line on the error stream, and loaded."""

import ctypes
import sys
from contextlib import suppress
from pathlib import Path

from gatewise.compiler.build import ANOTHER_FOLDER, KEY_FUNCTION, BuildError, build
from gatewise.compiler.emit import Program


def load(program: Program, name: str, instruction_set: str) -> ctypes.CDLL:
    """The library with a cell's functions.

    Args:
        program: the cell's work.
        name: of the cell, for messages.
        instruction_set: that of the engine.

    Raises:
        BuildError: when there is no compiler, it fails, or its result can neither be kept nor be loaded; this is told
            on the error stream, too.
    """
    try:
        path, key = build(
            program, instruction_set, lambda folder: _tell(f"compiling cell {name} (once, kept in {folder})")
        )
        return _loaded(path, key)
    except BuildError as error:
        raise failure(name, error) from error


def failure(name: str, error: Exception) -> BuildError:
    """The error of a cell that does not run on the engine, which is told on the error stream, too."""
    told = BuildError(f"cell {name} could not be compiled: {error}")
    _tell(str(told))
    return told


def _loaded(path: Path, key: str) -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(str(path))
        told = getattr(library, KEY_FUNCTION)
    except (OSError, AttributeError) as error:
        # It may be the folder's fault, as where nothing may be executed, or the compiler's, which may be another now.
        with suppress(OSError):
            path.unlink()
        raise BuildError(f"what was compiled cannot be loaded, and was removed: {error}; {ANOTHER_FOLDER}") from error
    told.restype = ctypes.c_char_p
    if told() != key.encode():
        raise BuildError(f"{path} was compiled for something else; remove it")
    return library


def _tell(text: str) -> None:
    print(f"gatewise: {text}", file=sys.stderr, flush=True)
