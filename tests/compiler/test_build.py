"""Cells compiled by the system's compiler."""

import ctypes
import os
import select
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from csrc.tests.build import compiler
from gatewise.compiler import build as module
from gatewise.compiler.build import PREFIX, BuildError, build, find_compiler
from gatewise.compiler.constants import symbol
from gatewise.compiler.emit import emit
from gatewise.compiler.flags import INTERFACE
from gatewise.equations import cell, tanh

ROOT = Path(__file__).parents[2]
needs_compiler = pytest.mark.skipif(compiler() is None, reason="no C++ compiler here")


@cell
def own(x, h, /, W, R):
    return tanh(W @ x + R @ h)


PROGRAM = emit(own, PREFIX)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GATEWISE_CACHE", str(tmp_path / "cells"))
    find_compiler.cache_clear()
    return tmp_path / "cells"


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Makes a compiler of a shell script."""

    def make(text: str) -> Path:
        path = tmp_path / "my c++"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        monkeypatch.setenv("CXX", f"'{path}'")
        return path

    return make


class Reported(list[Path]):
    """The folders reported by `build` before compiling."""

    def __call__(self, folder: Path) -> None:
        self.append(folder)


@needs_compiler
def test_a_library_is_compiled_once_and_reports_its_key(folder: Path):
    stderr = Reported()
    path, key = build(PROGRAM, "plain", stderr)
    assert stderr == [folder]
    assert list(folder.iterdir()) == [path]
    library = ctypes.CDLL(str(path))
    library.gatewise_key.restype = ctypes.c_char_p
    assert library.gatewise_key() == key.encode()
    assert ctypes.c_char.in_dll(library, symbol(PREFIX))
    assert build(PROGRAM, "plain", stderr) == (path, key)
    assert stderr == [folder]


@needs_compiler
def test_truncated_library_is_recompiled(folder: Path):
    path, _ = build(PROGRAM, "plain", Reported())
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    stderr = Reported()
    assert build(PROGRAM, "plain", stderr)[0] == path
    assert stderr == [folder]
    assert path.read_bytes() == content


def test_every_input_is_part_of_the_key(
    folder: Path, tmp_path: Path, script: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
):
    keys: list[str] = []

    def note(instruction_set: str = "plain", program=PROGRAM) -> None:
        find_compiler.cache_clear()
        with pytest.raises(BuildError, match="failed: exit code 1 without a message"):
            build(program, instruction_set, Reported())
        keys.append(str(made[-1]))

    made: list[Path] = []
    monkeypatch.setattr(module.build_cache, "is_complete", lambda path: made.append(path))
    headers = tmp_path / "include"
    headers.mkdir()
    for name in {*module.INCLUDED, *INTERFACE, "loop.h"}:
        (headers / name).write_text("// one\n")
    monkeypatch.setattr(module, "_headers", lambda: headers)
    script('echo one; test "$1" = --version')
    note()
    note()
    assert keys[0] == keys[1]
    note("avx2")
    note(program=emit(own, "other"))
    for name in {*module.INCLUDED, *INTERFACE}:
        (headers / name).write_text("// two\n")
        note()
    (headers / "loop.h").write_text("// two\n")
    note()
    assert keys.pop() == keys[-1]  # the engine's own
    script('echo two; test "$1" = --version')
    note()
    monkeypatch.setattr(module, "flags", lambda *_: ("-O1",))
    note()
    assert len(set(keys)) == len(keys) - 1


def test_no_compiler(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    for named, words in {
        None: r"no C\+\+ compiler was found \(c\+\+, g\+\+, clang\+\+\); install one, such as g\+\+, or name one with",
        "": r"no C\+\+ compiler was found \(c\+\+",
        "absent-c++ -O1": r"no C\+\+ compiler was found \(CXX=absent-c\+\+ -O1\)",
        '"c++': r'CXX="c\+\+ is not a command \(No closing quotation\)',
    }.items():
        monkeypatch.setenv("CXX", named) if named is not None else monkeypatch.delenv("CXX", raising=False)
        with pytest.raises(BuildError, match=words):
            build(PROGRAM, "plain", Reported())
    assert not folder.exists()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("exit 3", "failed: exit code 3 without a message"),
        (
            "echo warning: not this >&2; printf 'cell.cpp: error: \\033[1mthis' >&2; exit 1",
            r"cell\.cpp: error: \[1mthis",
        ),
        (
            "echo as: No space left on device >&2; exit 1",
            "failed: as: No space left on device; make room or name a folder",
        ),
        ("exit 0", "failed: exit code 0 without a message"),
    ],
)
def test_a_compiler_that_fails(text: str, reason: str, folder: Path, script: Callable[[str], Path]):
    path = script(text)
    with pytest.raises(BuildError, match=reason) as failed:
        build(PROGRAM, "plain", Reported())
    assert str(path) in str(failed.value)
    assert list(folder.iterdir()) == []


def test_compiler_that_fails_to_start_or_hangs(
    folder: Path, script: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
):
    script("true").write_text("no program")
    with pytest.raises(BuildError, match=r"cannot be used: .*Exec format error.*; name another with CXX"):
        build(PROGRAM, "plain", Reported())
    script('test "$1" = --version || exec sleep 60')
    monkeypatch.setattr(module, "_LONGEST", 0.3)
    with pytest.raises(BuildError, match=r"cannot be used: .*timed out"):
        build(PROGRAM, "plain", Reported())
    assert list(folder.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="there are no groups of processes here")
def test_children_of_a_compiler_wrapper_are_terminated(
    tmp_path: Path, folder: Path, script: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
):
    os.mkfifo(tmp_path / "alive")
    reading = os.open(tmp_path / "alive", os.O_RDONLY | os.O_NONBLOCK)
    script(f"test \"$1\" = --version || {{ exec 9>'{tmp_path}/alive'; echo up >&9; sleep 60; echo done; }}")
    monkeypatch.setattr(module, "_LONGEST", 2)
    with pytest.raises(BuildError, match=r"cannot be used: .*timed out"):
        build(PROGRAM, "plain", Reported())
    with open(reading, "rb") as pipe:
        assert pipe.readline() == b"up\n"
        os.set_blocking(pipe.fileno(), True)
        # The pipe ends when no process holds it open for writing.
        assert select.select([pipe], [], [], 20)[0]
        assert pipe.read() == b""
    assert list(folder.iterdir()) == []


def test_a_folder_that_cannot_be_used(tmp_path: Path, folder: Path, script: Callable[[str], Path]):
    script("true")
    folder.touch()
    with pytest.raises(BuildError, match=rf"{folder}: File exists; name a folder of your own with .* GATEWISE_CACHE"):
        build(PROGRAM, "plain", Reported())
    folder.unlink()
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(BuildError, match=rf"{folder}: can be written by others \(chmod go-w\); name a folder"):
        build(PROGRAM, "plain", Reported())
    assert list(folder.iterdir()) == []


def test_missing_headers(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module.gatewise, "__file__", str(tmp_path / "site" / "gatewise" / "__init__.py"))
    with pytest.raises(BuildError, match="the engine's headers are missing"):
        build(PROGRAM, "plain", Reported())


MAKER = """
import sys
from gatewise.compiler.build import build
from tests.compiler.test_build import PROGRAM
sys.stdin.read(1)
print(*build(PROGRAM, "plain", lambda folder: None))
"""


@needs_compiler
def test_several_processes_at_once(folder: Path):
    makers = [
        subprocess.Popen(
            [sys.executable, "-c", MAKER], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    for maker in makers:
        assert maker.stdin is not None
        maker.stdin.write("\n")
        maker.stdin.flush()
    printed = {maker.communicate(timeout=120)[0] for maker in makers}
    assert [maker.returncode for maker in makers] == [0] * len(makers)
    ((path, _),) = (line.split() for line in printed)
    assert [str(left) for left in folder.iterdir()] == [path]
    assert module.build_cache.is_complete(Path(path))
