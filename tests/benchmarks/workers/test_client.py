"""Libraries in processes of their own; each is tested where it is installed."""

import subprocess
import sys

import pytest

from gatewise.benchmarks.agreement import Reference
from gatewise.benchmarks.points import Point
from gatewise.benchmarks.workers import client
from gatewise.benchmarks.workers.client import LIBRARIES, Remote, Worker, WorkerError, missing

installed = pytest.mark.parametrize(
    "library",
    [
        pytest.param(library, marks=pytest.mark.skipif(missing(library) is not None, reason=str(missing(library))))
        for library in LIBRARIES
    ],
)
SERVED = {
    "onnxruntime": [
        *(Point(cell, "inference", 3, 8, 6) for cell in ("lstm", "peephole_lstm", "rnn_tanh", "rnn_relu")),
        *(Point(cell, "inference", 3, 8, 6) for cell in ("gru_cudnn", "gru_chung2014", "gru_cho2014")),
        Point("lstm", "inference", 3, 8, 6, bidirectional=True),
        Point("gru_chung2014", "inference", 1, 8, 6, bidirectional=True),
    ],
    "jax": [
        *(Point(cell, "training", 3, 8, 6) for cell in ("lstm", "peephole_lstm", "peephole_lstm_full")),
        *(Point(cell, "training", 3, 8, 6) for cell in ("gru_cudnn", "gru_chung2014", "rnn_leaky_relu")),
        Point("lstm", "inference", 1, 8, 6),
    ],
}
NOT_SERVED = {
    "onnxruntime": [
        (Point("lstm", "training", 3, 8, 6), "onnxruntime does not train"),
        (Point("peephole_lstm_full", "inference", 3, 8, 6), "ONNX has no operator for peephole_lstm_full"),
        (Point("lstm", "inference", 3, 8, 6, ragged=True), "onnxruntime is timed on full rows"),
    ],
    "jax": [
        (Point("lstm", "training", 3, 8, 6, bidirectional=True), "in one direction"),
        (Point("lstm", "training", 3, 8, 6, reset=0.5), "jax is timed on full rows"),
    ],
}


@installed
def test_a_library_computes_the_same(library):
    with Worker(library, 1) as worker:
        assert worker.version.startswith(f"{library} ")
        for point in SERVED[library]:
            side = worker.side(point)
            assert isinstance(side, Remote), point
            # Calls change the weights in training; the results are those of the given ones again.
            assert all(seconds > 0 for seconds in side.turn(3))
            assert Reference(point).agreement(side).wrong is None, point


@installed
def test_what_a_library_does_not_do_is_told(library):
    with Worker(library, 1) as worker:
        for point, told in NOT_SERVED[library]:
            answer = worker.side(point)
            assert isinstance(answer, str)
            assert told in answer


@installed
def test_a_worker_that_dies_says_so(library):
    with Worker(library, 1) as worker:
        worker._process.kill()
        with pytest.raises(WorkerError, match=f"{library} ended with code -9"):
            worker.ask("results")


def test_a_worker_that_cannot_start_says_why():
    with pytest.raises(WorkerError, match=r"nonesuch ended with code 1: .*nonesuch"):
        Worker("nonesuch", 1)  # pyright: ignore[reportArgumentType]


def test_a_library_that_is_not_installed_is_told(monkeypatch):
    monkeypatch.setattr(client.importlib.util, "find_spec", lambda name: None)
    assert missing("onnxruntime") == (
        "onnxruntime is not timed: onnx and onnxruntime not installed (pip install 'gatewise[bench]')"
    )


def test_a_worker_imports_no_torch():
    code = "import gatewise.benchmarks.workers.serve, sys; print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"
