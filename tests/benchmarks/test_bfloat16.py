"""The benchmark of products of bfloat16: a call of each case, really timed."""

import pytest

from benchmarks import bfloat16 as benchmark
from csrc.tests.build import compiler
from tests.kernels.engine import needs_engine


@needs_engine
def test_a_row_for_each_case(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(benchmark, "SHAPES", ((2, 16, 3),))
    monkeypatch.setattr(benchmark, "rates", lambda: "rates")
    benchmark.main(["--cells", "lstm", "peephole_lstm", "--pairs", "2", "--threads", "1"])
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == "rates"
    rows = [line.strip("| ").split(" | ") for line in lines[3:]]
    assert [row[:2] for row in rows] == [["lstm", "2, 16, 3"], ["peephole_lstm", "2, 16, 3"]]
    assert [len(row) for row in rows] == [5, 4]


def test_without_a_compiler_rates_are_not_measured(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("csrc.tests.build.compiler", lambda: None)
    assert "no C++ compiler" in benchmark.rates()


@pytest.mark.skipif(compiler() is None, reason="no C++ compiler here")
def test_rates():
    assert benchmark.rates().startswith("Multiply-adds in registers, billions a second on one core: floats ")
