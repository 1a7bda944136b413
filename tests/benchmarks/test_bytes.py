"""The benchmark of 8-bit products: two calls, really timed."""

import pytest

from benchmarks import bytes as benchmark
from tests.kernels.engine import needs_engine

pytest.importorskip("onnxruntime")


@needs_engine
def test_a_row_for_each_call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(benchmark, "SHAPES", ((1, 16, 3), (2, 16, 3)))
    benchmark.main(["--cells", "lstm", "rnn_tanh", "--pairs", "2"])
    rows = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines()[2:]]
    assert [row[:2] for row in rows] == [
        [name, shape]
        for cell in ("lstm", "rnn_tanh")
        for name, shape in (
            (f"{cell}, sequence", "1, 16, 3"),
            (f"{cell}, stream", "1, 16, 3"),
            (f"{cell}, sequence", "2, 16, 3"),
        )
    ]
    assert [len(row) for row in rows] == [5, 5, 5, 4, 4, 4]
