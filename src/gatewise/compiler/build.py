"""A cell's C++ compiled by the system's C++ compiler at first use, and kept. Standard library alone."""

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
from gatewise.compiler import store
from gatewise.compiler.builtin import translation_unit
from gatewise.compiler.emit import Program
from gatewise.compiler.flags import flags

PREFIX = "gatewise_cell"  # of the functions in a library of one cell
KEY_FUNCTION = "gatewise_key"
ANOTHER_FOLDER = f"name a folder of your own with the environment variable {store.VARIABLE}"
# What a cell's source includes; nothing else of the engine enters its key.
INCLUDED = ("activations.h", "cell.h", "program.h", "vec.h")
_USUAL = ("c++", "g++", "clang++")
_LONGEST = 300  # seconds


class BuildError(Exception):
    """A cell could not be compiled or its library not be kept; the message says why, and what to do."""


class Compiler(NamedTuple):
    """A C++ compiler.

    Attributes:
        command: how it is called.
        version: what it says of itself.
    """

    command: tuple[str, ...]
    version: str


def build(program: Program, instruction_set: str, before_compiling: Callable[[Path], None]) -> tuple[Path, str]:
    """The library with a cell's functions for every number type: a kept one, or else a new one.

    Arguments:
        program: the cell's work, its functions named with `PREFIX`.
        instruction_set: that of the engine which will call it.
        before_compiling: told the folder that the library will be kept in, when there is none yet.

    Returns:
        Its path, and the key that its function `KEY_FUNCTION` returns.

    Raises:
        BuildError: when there is neither.
    """
    headers, compiler = _headers(), find_compiler(os.environ.get("CXX") or None)
    source, options = translation_unit([program]), (*flags(instruction_set, headers), "-shared")
    included = {name: (headers / name).read_text(encoding="utf-8") for name in INCLUDED}
    made_of = [source, included, options, compiler, platform.system(), platform.machine()]
    key = sha256(json.dumps(made_of).encode()).hexdigest()
    try:
        folder = store.private_folder()
        path = folder / f"{key[:32]}.so"
        if not store.is_whole(path):
            before_compiling(folder)
            store.remove_leftovers(folder)
            with tempfile.TemporaryDirectory(prefix=store.WORK, dir=folder, ignore_cleanup_errors=True) as work:
                keyed = f'{source}GATEWISE_EXPORT const char *{KEY_FUNCTION}() {{ return "{key}"; }}\n'
                store.keep(_compile(compiler, keyed, (*options, f"-I{headers}"), Path(work)), path)
    except OSError as error:
        raise BuildError(f"{error.filename or store.folder()}: {error.strerror or error}; {ANOTHER_FOLDER}") from error
    return path, key


@cache
def find_compiler(named: str | None) -> Compiler:
    """The C++ compiler of the system.

    Arguments:
        named: its command, as in the environment variable CXX; None for a usual name.

    Raises:
        BuildError: when there is none.
    """
    try:
        commands = [(name,) for name in _USUAL] if named is None else [tuple(shlex.split(named))]
    except ValueError as error:
        raise BuildError(f"CXX={named} is not a command ({error})") from error
    for command in commands:
        if command and (found := shutil.which(command[0])) is not None:
            command = (os.path.abspath(found), *command[1:])  # it runs in another folder
            return Compiler(command, _run([*command, "--version"]).stdout)
    raise BuildError(
        f"no C++ compiler was found ({', '.join(_USUAL) if named is None else f'CXX={named}'}); install one, such as "
        "g++, or name one with the environment variable CXX"
    )


def _headers() -> Path:
    """The engine's headers: those that it was built with, or in a source tree its own."""
    package = Path(gatewise.__file__).parent
    for folder in (package / "_engine" / "include", package.parents[1] / "csrc"):
        if (folder / "cell.h").is_file():
            return folder
    raise BuildError("the engine's headers are missing from this installation; install gatewise again")


def _compile(compiler: Compiler, source: str, options: Sequence[str], work: Path) -> bytes:
    """The content of a library; its source and all temporary files are in `work`."""
    (work / "cell.cpp").write_text(source, encoding="utf-8")
    # Relative names, so that the same source gives the same library.
    run = _run([*compiler.command, *options, "cell.cpp", "-o", "cell.so"], work)
    library = work / "cell.so"
    if run.returncode != 0 or not library.is_file():
        complaint = _complaint(run)
        remedy = f"; make room or {ANOTHER_FOLDER}" if "No space left" in complaint else ""
        raise BuildError(f"the C++ compiler {shlex.join(compiler.command)} failed: {complaint}{remedy}")
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
                out, told = process.communicate(timeout=_LONGEST)
            except BaseException:  # Ctrl-C too, which a session of its own does not see
                _end(process)
                raise
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BuildError(f"the C++ compiler cannot be used: {error}; name another with CXX") from error
    return subprocess.CompletedProcess(command, process.returncode, out, told)


def _end(process: "subprocess.Popen[str]") -> None:
    """End a process, and all that it has started: the compiler itself, where it is behind a wrapper."""
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()


def _complaint(run: subprocess.CompletedProcess[str]) -> str:
    """The first line that tells of an error, without control characters, not too long."""
    lines = [line for line in run.stderr.splitlines() if line.strip()]
    found = next((line for line in lines if "error" in line or "No space" in line), lines[0] if lines else "")
    printable = "".join(character for character in found if character.isprintable())
    return printable[:300] or f"exit code {run.returncode} without a message"
