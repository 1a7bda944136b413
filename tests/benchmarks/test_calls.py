"""The benchmark of small calls, really timed."""

import pytest

from benchmarks import calls
from tests.kernels.engine import needs_engine


@needs_engine
def test_a_row_for_each_call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(calls, "CLOCKED", 2)
    calls.main(["--pairs", "2"])
    lines = capsys.readouterr().out.splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:-2]]
    steps = [[name, f"1, {width}, 1"] for width in (64, 256) for name in ("step", "step, frozen", "step of a stream")]
    assert [row[:2] for row in rows] == [
        ["training", "1, 8, 1"],
        ["training, ragged, both directions", "16, 32, 20"],
        *steps,
    ]
    assert all(0 < float(row[3]) <= float(row[2]) * 10 for row in rows)
    assert [bool(row[5]) for row in rows] == [True] + [False] * 7
    assert "times as long as the third, that of a seen T" in lines[-1]
