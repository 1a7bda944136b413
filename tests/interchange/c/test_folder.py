"""The folder of a model: its code in C and C++, and the program in it."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import gatewise
from gatewise import runtime
from gatewise.compiler.flags import EXPORTED
from gatewise.interchange.c.exporting import write_folder
from gatewise.interchange.c.layers import model_of
from tests.interchange.c.exported import WIDTH, both_directions, compiler, exported, streamed

pytestmark = pytest.mark.skipif(compiler() is None or not shutil.which("gcc"), reason="there is no compiler")
ROOT = Path(__file__).parents[3]
STRICT = ("gcc", "-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror")


def run(*command: object, given: str = "") -> str:
    return subprocess.run([*map(str, command)], check=True, text=True, capture_output=True, input=given).stdout


@pytest.mark.parametrize("make", [streamed, both_directions])
def test_the_program_prints_what_the_model_computes(make, tmp_path: Path) -> None:
    """A strict compiler of C99 takes header and program; sequences begin anew after an empty line."""
    _, folder = exported(make)
    run(*STRICT, folder / "main.c", folder / "libnet.so", f"-Wl,-rpath,{folder}", "-o", tmp_path / "main")
    draw = np.random.default_rng(0)
    sequences = [draw.standard_normal((steps, WIDTH)) for steps in (4, 3)]
    lines = "\n\n".join("\n".join(" ".join(map(repr, map(float, row))) for row in one) for one in sequences)
    printed = run(tmp_path / "main", folder / "weights.bin", given=lines + "\n")
    model = runtime.load(folder)
    expected = []
    for one in sequences:
        model.reset()
        expected.append(model.run(one))
    found = [[float(number) for number in line.split()] for line in printed.splitlines()]
    np.testing.assert_allclose(found, np.concatenate(expected), rtol=1e-5, atol=1e-6)
    bad = subprocess.run([tmp_path / "main", folder / "weights.bin"], input="1 2\n", text=True, capture_output=True)
    assert (bad.returncode, bad.stderr) == (1, "a line does not have the numbers of a step\n")


def test_one_file_is_the_sources() -> None:
    _, folder = exported(streamed)
    preprocess = [*(compiler() or ()), "-std=c++20", "-E", "-P", "-I", folder, "-I", folder / "source"]
    found, expected = (run(*preprocess, folder / path).split() for path in ("net.cpp", "source/unit.cpp"))
    assert found == expected


@pytest.mark.slow
def test_no_symbol_is_shared_by_instruction_sets(tmp_path: Path) -> None:
    """What one instruction set would leave to the linker, which keeps any one of the same name."""
    _, folder = exported(streamed)
    kernels = tmp_path / "kernels.o"
    run(*(compiler() or ()), *EXPORTED, "-O1", "-DNET_KERNELS_ONLY", "-c", folder / "net.cpp", "-o", kernels)
    shared = [line for line in run("nm", "-C", kernels).splitlines() if re.search(r" [WVuTDBR] ", line)]
    assert shared
    assert [line for line in shared if "net_plain" not in line and "net_functions_plain" not in line] == []


def test_python_runs_it_without_torch() -> None:
    _, folder = exported(streamed)
    code = (
        "import sys, numpy; from gatewise import runtime\n"
        f"model = runtime.load({str(folder)!r})\n"
        f"print(model.run(numpy.zeros((2, {WIDTH}))).shape, model.step(numpy.zeros({WIDTH})).shape)\n"
        "print([name for name in ('torch', 'lightning', 'cyclopts') if name in sys.modules])"
    )
    assert run(sys.executable, "-c", code) == "(2, 6) (6,)\n[]\n"


def test_names_are_those_that_were_asked_for(tmp_path: Path) -> None:
    write_folder(model_of(gatewise.GRU(2, 3)), tmp_path, "filter")
    assert {"filter.h", "filter.cpp", "filter.json", "weights.bin"} <= {one.name for one in tmp_path.iterdir()}
    for path in ("filter.h", "filter.cpp", "main.c"):
        assert not re.findall(r"\bmodel_\w+", (tmp_path / path).read_text(), re.IGNORECASE), path
    run(*STRICT, "-fsyntax-only", tmp_path / "main.c")
    with pytest.raises(ValueError, match="the library is not compiled; export with --build"):
        runtime.load(tmp_path)


@pytest.mark.slow
def test_the_library_is_small_and_chooses_the_instruction_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = gatewise.LSTM(4, 64)
    made = gatewise.to_c(module, tmp_path, build=True)
    assert made.library is not None
    assert made.library.stat().st_size <= 400_000
    assert re.search(r"equal to the module on random input: largest error [0-9.e+-]+, relative above 1", str(made))
    found = []
    for name in ("plain", runtime.load(tmp_path).instruction_set):
        monkeypatch.setenv("GATEWISE_ISA", name)
        model = runtime.load(tmp_path)
        assert model.instruction_set == name
        found.append(model.run(np.linspace(-1, 1, 40).reshape(10, 4)))
    np.testing.assert_allclose(*found, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("cmake"), reason="there is no CMake")
def test_cmake_compiles_library_and_program(tmp_path: Path) -> None:
    torch.manual_seed(0)
    gatewise.to_c(gatewise.LSTM(3, 4), tmp_path)
    options = ("-DMODEL_FROM_SOURCES=ON", "-DMODEL_CHOOSES_INSTRUCTIONS=OFF", "-DCMAKE_CXX_FLAGS=-w")
    run("cmake", "-S", tmp_path, "-B", tmp_path / "build", *options)
    run("cmake", "--build", tmp_path / "build")
    page = (ROOT / "docs" / "c.md").read_text()
    shown = re.search(r"\| build/main weights\.bin\n((?: {4}\S.*\n)+)", page)
    assert shown is not None
    given = "0.1 0.2 0.3\n0.4 0.5 0.6\n0.7 0.8 0.9\n\n0.1 0.2 0.3\n"
    printed = run(tmp_path / "build" / "main", tmp_path / "weights.bin", given=given)
    found, expected = (np.array(text.split(), float).reshape(4, 4) for text in (printed, shown[1]))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    expected = runtime.load(tmp_path).run(np.arange(1, 10).reshape(3, 3) / 10)
    np.testing.assert_allclose(found[:3], expected, rtol=1e-5)
