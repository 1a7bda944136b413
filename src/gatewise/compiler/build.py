"""Compile a cell's C++ with the system's compiler at first use, and cache the library. Standard library only."""

import json
import os
import platform
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import gatewise
from gatewise.compiler import build_cache
from gatewise.compiler.builtin import translation_unit
from gatewise.compiler.flags import flags
from gatewise.compiler.program import Program

PREFIX = "gatewise_cell"  # of the functions in the library of a user-defined cell
KEY_FUNCTION = "gatewise_key"
ANOTHER_FOLDER = f"name a folder of your own with the environment variable {build_cache.VARIABLE}"
# The headers that a cell's source includes; nothing else of the engine is part of the cache key.
INCLUDED = ("activations.h", "cell.h", "program.h", "vec.h")
_USUAL = ("c++", "g++", "clang++")
_LONGEST = 300  # seconds


class BuildError(Exception):
    """A cell could not be compiled, or its library not be cached; the message gives the reason and a remedy."""


class Compiler(NamedTuple):
    """A C++ compiler.

    Attributes:
        command: the command line that runs it.
        version: its output for ``--version``.
    """

    command: tuple[str, ...]
    version: str


def build(program: Program, instruction_set: str, before_compiling: Callable[[Path], None]) -> tuple[Path, str]:
    """The library with a cell's functions for every number type, from the cache or newly compiled.

    Args:
        program: the compiled cell, its functions prefixed with `PREFIX`.
        instruction_set: that of the engine that will call it.
        before_compiling: called with the cache folder when the library has to be compiled.

    Returns:
        Its path, and the key returned by its function `KEY_FUNCTION`.

    Raises:
        BuildError: when it can neither be found nor compiled.
    """
    headers, compiler = _headers(), find_compiler(os.environ.get("CXX") or None)
    source, options = translation_unit([program]), (*flags(instruction_set, headers), "-shared")
    included = {name: (headers / name).read_text(encoding="utf-8") for name in INCLUDED}
    key_parts = [source, included, options, compiler, platform.system(), platform.machine()]
    key = sha256(json.dumps(key_parts).encode()).hexdigest()
    try:
        folder = build_cache.private_folder()
        path = folder / f"{key[:32]}.so"
        if not build_cache.is_complete(path):
            before_compiling(folder)
            build_cache.remove_leftovers(folder)
            with tempfile.TemporaryDirectory(prefix=build_cache.WORK, dir=folder, ignore_cleanup_errors=True) as work:
                keyed = f'{source}GATEWISE_EXPORT const char *{KEY_FUNCTION}() {{ return "{key}"; }}\n'
                build_cache.write(_compile(compiler, keyed, (*options, f"-I{headers}"), Path(work)), path)
    except OSError as error:
        raise BuildError(
            f"{error.filename or build_cache.folder()}: {error.strerror or error}; {ANOTHER_FOLDER}"
        ) from error
    return path, key


@cache
def find_compiler(named: str | None) -> Compiler:
    """The C++ compiler of the system.

    Args:
        named: its command, from the environment variable CXX; None to try the usual names.

    Raises:
        BuildError: when no compiler is found.
    """
    try:
        commands = [(name,) for name in _USUAL] if named is None else [tuple(shlex.split(named))]
    except ValueError as error:
        raise BuildError(f"CXX={named} is not a command ({error})") from error
    for command in commands:
        if command and (found := shutil.which(command[0])) is not None:
            command = (os.path.abspath(found), *command[1:])  # it is run in another folder
            return Compiler(command, _run([*command, "--version"]).stdout)
    raise BuildError(
        f"no C++ compiler was found ({', '.join(_USUAL) if named is None else f'CXX={named}'}); install one, such as "
        "g++, or name one with the environment variable CXX"
    )


def _headers() -> Path:
    """The engine's headers: those installed with the engine, or those of the source tree."""
    package = Path(gatewise.__file__).parent
    for folder in (package / "_engine" / "include", package.parents[1] / "csrc"):
        if (folder / "cell.h").is_file():
            return folder
    raise BuildError("the engine's headers are missing from this installation; install gatewise again")


def _compile(compiler: Compiler, source: str, options: Sequence[str], work: Path) -> bytes:
    """Compile a library and return its content; the source and all temporary files are in `work`."""
    (work / "cell.cpp").write_text(source, encoding="utf-8")
    # Relative names: the same source gives the same library.
    run = _run([*compiler.command, *options, "cell.cpp", "-o", "cell.so"], work)
    library = work / "cell.so"
    if run.returncode != 0 or not library.is_file():
        message = _first_error(run)
        remedy = f"; make room or {ANOTHER_FOLDER}" if "No space left" in message else ""
        raise BuildError(f"the C++ compiler {shlex.join(compiler.command)} failed: {message}{remedy}")
    return library.read_bytes()


def _run(command: Sequence[str], work: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"LC_ALL": "C"} | ({} if work is None else {"TMPDIR": str(work)})
    try:
        with subprocess.Popen(
            command,
            cwd=work,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        ) as process:
            try:
                out, stderr = process.communicate(timeout=_LONGEST)
            except BaseException:  # including Ctrl-C, which the new session does not receive
                _terminate(process)
                raise
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BuildError(f"the C++ compiler cannot be used: {error}; name another with CXX") from error
    return subprocess.CompletedProcess(command, process.returncode, out, stderr)


def _terminate(process: "subprocess.Popen[str]") -> None:
    """Terminate a process and its children, such as the compiler behind a wrapper."""
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()


def _first_error(run: subprocess.CompletedProcess[str]) -> str:
    """The first line of an error message, printable and truncated."""
    lines = [line for line in run.stderr.splitlines() if line.strip()]
    found = next((line for line in lines if "error" in line or "No space" in line), lines[0] if lines else "")
    printable = "".join(character for character in found if character.isprintable())
    return printable[:300] or f"exit code {run.returncode} without a message"
