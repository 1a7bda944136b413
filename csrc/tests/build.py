"""Building the C++ tests of the engine for the instruction sets that this machine runs; standard library alone."""

import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from gatewise.compiler.flags import INSTRUCTION_SETS, flags

ENGINE = Path(__file__).parents[1]


def compiler() -> list[str] | None:
    """The command of the C++ compiler, from CXX or the usual name; None without one."""
    command = shlex.split(os.environ.get("CXX") or "c++")
    return command if shutil.which(command[0]) else None


def runnable() -> list[str]:
    """The instruction sets of this machine."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    able = set(next((line.split(":")[1] for line in lines if line.startswith("flags")), "").split())
    return [
        name
        for name, options in INSTRUCTION_SETS.items()
        if all(option[2:] in able for option in options if option.startswith("-m"))
    ]


def build(sources: Sequence[Path], instruction_set: str, to: Path, *options: str) -> None:
    """Compile sources, or with ``-c`` one, and link what comes of them and of objects to an executable.

    Raises:
        subprocess.CalledProcessError: when it does not compile.
    """
    command = compiler()
    assert command is not None
    subprocess.run(
        [
            *command,
            *flags(instruction_set, ENGINE),
            *options,
            f"-I{ENGINE}",
            *map(str, sources),
            "-o",
            str(to),
            "-pthread",
        ],
        check=True,
    )
