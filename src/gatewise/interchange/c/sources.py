"""The sources of the runtime: those of the engine, of `csrc/runtime`, and what is emitted for a model."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import gatewise
from gatewise.compiler.flags import EXPORTED, EXPORTED_LINK, INSTRUCTION_SETS
from gatewise.interchange.c.description import Model
from gatewise.interchange.c.emission import cells_source, header_constants

UNIT = "unit.cpp"
_INCLUDE = re.compile(r'^#include "(?P<name>[^"]+)"\n', re.MULTILINE)


def sources_of(model: Model, name: str) -> dict[str, str]:
    """The files of code of a model, by their path in its folder.

    Args:
        model: the model.
        name: what names in C begin with, and those of files.

    Raises:
        ValueError: when it is none in C, or the name of a file of the engine.
    """
    root = _root()
    header = (root / "runtime" / "model.h").read_text(encoding="utf-8")
    made = {
        "model.h": header.replace("/* CONSTANTS */", header_constants(model)),
        "cells.cpp": cells_source(model),
    }
    pieces = dict(_included(root, made, "runtime/unit.cpp"))
    _check_name(name, pieces)
    pieces[UNIT] = pieces.pop("runtime/unit.cpp")
    files = {f"source/{path}": text for path, text in pieces.items() if path != "model.h"}
    cmake = (root / "runtime" / "CMakeLists.txt").read_text(encoding="utf-8")
    for key, options in {**_sets(), "OPTIONS": EXPORTED, "LINK": EXPORTED_LINK, "NAME": (name,)}.items():
        cmake = cmake.replace(f"@{key}@", " ".join(options))
    files |= {
        "model.h": made["model.h"],
        "model.cpp": _amalgamated(pieces),
        "main.c": (root / "runtime" / "main.c").read_text(encoding="utf-8"),
        "CMakeLists.txt": cmake,
    }
    return {_renamed(path, name): _renamed(text, name) for path, text in files.items()}


def instruction_options(instruction_set: str) -> tuple[str, ...]:
    """The options of the compiler for an instruction set, which the source then knows by itself."""
    return tuple(one for one in INSTRUCTION_SETS[instruction_set] if not one.startswith("-D"))


def _sets() -> dict[str, tuple[str, ...]]:
    return {name.upper(): instruction_options(name) for name in INSTRUCTION_SETS if name != "plain"}


def _root() -> Path:
    """Where the sources are: installed with the engine, or in the source tree.

    Raises:
        ValueError: when they are in neither.
    """
    package = Path(gatewise.__file__).parent
    for folder in (package.parents[1] / "csrc", package / "_engine" / "include"):
        if (folder / "runtime" / UNIT).is_file():
            return folder
    raise ValueError("the sources of the runtime are missing from this installation; install gatewise again")


def _included(
    root: Path, made: Mapping[str, str], path: str, seen: set[str] | None = None
) -> Iterator[tuple[str, str]]:
    """A file and all that it includes, each once, by path."""
    seen = set() if seen is None else seen
    if path in seen:
        return
    seen.add(path)
    text = made[path] if path in made else _for_inference((root / path).read_text(encoding="utf-8"))
    yield path, text
    for found in _INCLUDE.finditer(text):
        yield from _included(root, made, found["name"], seen)


def _for_inference(text: str) -> str:
    """A source without what is compiled for training alone."""
    lines: list[str] = []
    depth = 0  # of conditions within what is left out; 0: outside of it
    for line in text.splitlines(keepends=True):
        if line.rstrip() == "#ifndef GATEWISE_INFERENCE" and not depth:
            depth = 1
        elif depth:
            depth += line.startswith("#if") - line.startswith("#endif")
        else:
            lines.append(line)
    return "".join(lines)


def _amalgamated(pieces: Mapping[str, str]) -> str:
    """One file: every inclusion of a piece is replaced by the piece, or by nothing the second time."""
    seen: set[str] = set()

    def inlined(path: str) -> str:
        seen.add(path)

        def replaced(found: re.Match[str]) -> str:
            name = found["name"]
            if name == "model.h" or name not in pieces:
                return found[0]
            return "" if name in seen else f"// ---- {name}\n{inlined(name)}"

        return _INCLUDE.sub(replaced, pieces[path].replace("#pragma once\n", ""))

    return inlined(UNIT)


def _check_name(name: str, pieces: Iterable[str]) -> None:
    if not (name.isascii() and name.isidentifier() and name[0] != "_"):
        raise ValueError(f"name: expected a name in C, such as model, got {name!r}")
    if name.lower() in {"main", *(Path(path).stem for path in pieces)} - {"model"}:
        raise ValueError(f"name: {name} is the name of a file of the engine; choose another")


def _renamed(text: str, name: str) -> str:
    """A text with another beginning of the names that a program sees."""
    if name == "model":
        return text
    text = re.sub(r"\bmodel(?=_|\.h\b|\.cpp\b)", name, text)
    return re.sub(r"\bMODEL(?=_)", name.upper(), text)
