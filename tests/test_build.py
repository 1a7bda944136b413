"""How the package is built: with compiled kernels, without a compiler, and when they do not compile."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
import torch

import gatewise
from csrc.tests.build import compiler
from gatewise.compiler.flags import INSTRUCTION_SETS
from gatewise.kernels.cpu import library

ROOT = Path(__file__).parents[1]
NEEDED = ("CMakeLists.txt", "LICENSE", "README.md", "csrc", "pyproject.toml", "src")
needs_compiler = pytest.mark.skipif(compiler() is None, reason="no C++ compiler here")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what a build reads."""
    copy = tmp_path / "tree"
    copy.mkdir()
    for name in NEEDED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("_engine", "__pycache__"))
        else:
            shutil.copy(ROOT / name, copy)
    return copy


def program(name: str) -> str:
    """The path of a build tool, of this environment or of the system."""
    found = shutil.which(name, path=os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])))
    assert found is not None
    return found


@pytest.fixture
def without_compilers(tmp_path: Path) -> dict[str, str]:
    """An environment in which there is no compiler to be found."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("cmake", "ninja"):
        (folder / name).symlink_to(program(name))
    return {name: value for name, value in os.environ.items() if name not in ("CC", "CXX")} | {"PATH": str(folder)}


def cmake(tree: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Configure, build and install into the folder `installed`; what was printed by all that ran."""
    build, printed = tree / "build", ""
    defined = (f"-DPython3_EXECUTABLE={sys.executable}", f"-DCMAKE_MAKE_PROGRAM={program('ninja')}")
    steps = (
        [program("cmake"), "-G", "Ninja", "-S", tree, "-B", build, *defined],
        [program("cmake"), "--build", build],
        [program("cmake"), "--install", build, "--prefix", tree / "installed"],
    )
    run = None
    for step in steps:
        run = subprocess.run(step, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        printed += run.stdout
        if run.returncode:
            break
    assert run is not None
    return subprocess.CompletedProcess(run.args, run.returncode, printed)


def wheel(tree: Path, environment: dict[str, str]) -> Path:
    """The wheel that pip makes of a tree."""
    to = tree.parent / "wheels"
    command = [sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps", "--no-index", "-w", to, tree]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    (made,) = to.iterdir()
    return made


def run_from(site: Path, code: str) -> str:
    """What a program prints with the gatewise of an unpacked wheel."""
    # -S: an editable install comes before PYTHONPATH.
    path = os.pathsep.join((str(site), sysconfig.get_path("purelib"), str(ROOT)))
    return subprocess.run(
        [sys.executable, "-S", "-c", code],
        env=os.environ | {"PYTHONPATH": path, "GATEWISE_CACHE": str(site / "cells")},
        cwd=site,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout


@pytest.mark.skipif(not os.environ.get("GATEWISE_EXPECT_ENGINE"), reason="no engine is expected here")
def test_the_engine_is_there():
    assert library.why_missing() is None
    include, sources = library.FOLDER / "include", ROOT / "csrc"
    shipped = {path.relative_to(include): path.read_bytes() for path in include.rglob("*") if path.is_file()}
    own = [*sources.glob("*.h"), sources / "engine.cpp", *(sources / "runtime").iterdir()]
    assert shipped == {path.relative_to(sources): path.read_bytes() for path in own}


def test_one_list_of_instruction_sets():
    widths = {name: int(options[-1].partition("BYTES=")[2]) for name, options in INSTRUCTION_SETS.items()}
    assert {width: name for name, width in widths.items()} == library.INSTRUCTION_SETS


@pytest.mark.parametrize(
    ("note", "reason"),
    [
        (
            "no working C++ compiler was found\n",
            "installed without compiled kernels: no working C++ compiler was found",
        ),
        (None, "installed without compiled kernels: the engine has not been built"),
    ],
)
def test_without_an_engine_the_others_run_and_say_why(
    note: str | None, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    if note is not None:
        (tmp_path / "why_missing.txt").write_text(note)
    monkeypatch.setattr(library, "FOLDER", tmp_path)
    library.why_missing.cache_clear()
    try:
        x = torch.randn(3, 2, 4)
        for layer in (gatewise.LSTM(4, 5), gatewise.PeepholeLSTM(4, 5)):
            backend = layer.backend_for(x)
            assert backend.name != "cpu"
            assert reason in backend.reason
            layer(x)[0].sum().backward()
        with pytest.raises(ValueError, match=re.escape(reason)):
            gatewise.Recurrent("lstm", 4, 5, backend="cpu")(x)
    finally:
        library.why_missing.cache_clear()


@pytest.mark.parametrize("compiler_is", ["absent", "broken"])
def test_without_a_working_compiler_nothing_is_built_and_one_line_says_so(
    compiler_is: str, tree: Path, without_compilers: dict[str, str]
):
    environment = without_compilers if compiler_is == "absent" else os.environ | {"CXX": shutil.which("false") or ""}
    run = cmake(tree, environment)
    assert run.returncode == 0, run.stdout
    (line,) = (line for line in run.stdout.splitlines() if line.startswith("gatewise: "))
    assert line.startswith("gatewise: no working C++ compiler was found: installing without compiled kernels")
    installed = [path for path in (tree / "installed").rglob("*") if path.is_file()]
    assert [path.name for path in installed] == ["why_missing.txt"]
    assert installed[0].read_text() == "no working C++ compiler was found\n"


@needs_compiler
def test_a_compiler_that_knows_no_vectors_counts_as_none(tree: Path, tmp_path: Path):
    # It compiles everything but C++20.
    old = tmp_path / "old"
    command = compiler()
    assert command is not None
    old.write_text(f'#!/bin/sh\ncase "$*" in *c++20*) exit 1;; esac\nexec {" ".join(command)} "$@"\n')
    old.chmod(0o755)
    run = cmake(tree, os.environ | {"CXX": str(old)})
    assert run.returncode == 0, run.stdout
    assert f"gatewise: the C++ compiler {old} has no C++20 with vector types" in run.stdout
    assert not list((tree / "installed").rglob("*.so"))


@needs_compiler
def test_an_error_in_our_code_is_an_error(tree: Path):
    (tree / "csrc" / "api.h").write_text("#error a mistake of ours\n")  # all sources have it, and end there
    run = cmake(tree, os.environ | {"CXXFLAGS": "-Wfatal-errors"})
    assert run.returncode != 0
    assert "a mistake of ours" in run.stdout


@needs_compiler
@pytest.mark.skipif("GATEWISE_EXPECT_WHEEL" not in os.environ, reason="make test-wheel builds one and tests it")
def test_the_wheel(tmp_path: Path):
    """Built from a tree with a library in it that no source makes."""
    made = Path(os.environ["GATEWISE_EXPECT_WHEEL"])
    assert made.name.startswith(f"gatewise-{gatewise.__version__}-py3-none-")
    assert made.stat().st_size < 5_000_000
    with zipfile.ZipFile(made) as content:
        engine = {name.rpartition("/")[2]: name for name in content.namelist() if "/_engine/" in name}
        headers = {path.name for path in (ROOT / "csrc").glob("*.h")}
        libraries = {name for name in engine if name.endswith(".so")}
        assert engine.keys() > headers
        # What exported models are made of.
        assert engine.keys() > {path.name for path in (ROOT / "csrc" / "runtime").iterdir()} | {"engine.cpp"}
        assert {"libgatewise_plain.so", "libgatewise_python.so"} <= libraries
        assert libraries <= {f"libgatewise_{name}.so" for name in (*INSTRUCTION_SETS, "python")}
        for name in libraries:
            assert not [
                needed for needed in (b"libtorch", b"libgomp", b"libstdc++.so") if needed in content.read(engine[name])
            ]
        content.extractall(tmp_path / "site")
    code = (
        "import gatewise, torch; from gatewise.compiler import build;"
        "from tests.user_cells import minimal_gated_unit as cell;"
        "layer, x = gatewise.Recurrent(cell, 4, 5), torch.randn(3, 2, 4); layer(x);"
        "print(layer.backend_for(x).name, build._headers())"
    )
    printed = run_from(tmp_path / "site", code)
    assert printed == f"cpu {tmp_path / 'site' / 'gatewise' / '_engine' / 'include'}\n"


@pytest.mark.slow
def test_a_wheel_without_a_compiler_runs(tree: Path, without_compilers: dict[str, str], tmp_path: Path):
    with zipfile.ZipFile(wheel(tree, without_compilers)) as content:
        content.extractall(tmp_path / "site")
    code = (
        "import gatewise, torch; layer = gatewise.LSTM(4, 5); x = torch.randn(3, 2, 4); layer(x);"
        "print(gatewise.__file__, layer.backend_for(x).reason)"
    )
    printed = run_from(tmp_path / "site", code)
    assert printed.startswith(str(tmp_path / "site"))
    assert "no working C++ compiler was found" in printed
