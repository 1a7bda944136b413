"""The script that times exported layers beside ONNX Runtime."""

import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import functions
from gatewise.interchange.c import exporting
from gatewise.interchange.c.building import build
from tests.interchange.c.exported import compiler

exported = pytest.importorskip("benchmarks.exported", exc_type=ImportError)


@pytest.mark.skipif(compiler() is None or not shutil.which("cc"), reason="there is no compiler")
@pytest.mark.filterwarnings("ignore")
def test_a_step_is_timed_beside_onnx_runtime(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a small layer, compiled in little time; both functions are called, and compared."""
    monkeypatch.setattr(
        exporting, "build_library", lambda folder, name: build(folder, name, options=("-O0",), sets=("plain",))
    )
    monkeypatch.setattr(functions, "interleaved", lambda contenders, pairs: [[2e-6, 4e-6], [1e-6, 2e-6]])
    monkeypatch.setattr(exported, "CASES", ((4, None),))
    exported.main(["--pairs", "3"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[2] == "| 4, one step | 3.0 µs | 1.5 µs | 2.00× (2.00–2.00) |"
    assert re.fullmatch(r"library of 4: [0-9,]+ bytes", lines[4])
    assert re.fullmatch(r"from the start of the program to its end after one answer: [0-9.]+ ms", lines[5])


@pytest.mark.parametrize("steps", [None, 3])
@pytest.mark.filterwarnings("ignore")
def test_results_that_differ_are_not_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int | None) -> None:
    wrong = SimpleNamespace(
        step=lambda x: np.zeros((1, 4), np.float32), run=lambda x: np.zeros((3, 1, 4), np.float32), reset=lambda: None
    )
    monkeypatch.setattr(exported.gatewise, "to_c", lambda *given, **options: None)
    monkeypatch.setattr(exported.runtime, "load", lambda *given, **options: wrong)
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        exported.exported(4, steps, tmp_path)
