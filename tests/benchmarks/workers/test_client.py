"""Libraries in processes of their own; each is tested where it is installed."""

import subprocess
import sys

import pytest

from benchmarks.agreement import Reference
from benchmarks.cases import Case
from benchmarks.workers import client
from benchmarks.workers.client import LIBRARIES, Remote, Worker, WorkerError, missing

installed = pytest.mark.parametrize(
    "library",
    [
        pytest.param(library, marks=pytest.mark.skipif(missing(library) is not None, reason=str(missing(library))))
        for library in LIBRARIES
    ],
)
SERVED = {
    "onnxruntime": [
        *(Case(cell, "inference", 3, 8, 6) for cell in ("lstm", "peephole_lstm", "rnn_tanh", "rnn_relu")),
        *(Case(cell, "inference", 3, 8, 6) for cell in ("gru_cudnn", "gru_chung2014", "gru_cho2014")),
        Case("lstm", "inference", 3, 8, 6, bidirectional=True),
        Case("gru_chung2014", "inference", 1, 8, 6, bidirectional=True),
        *(Case(cell, "inference", 1, 8, 6, stream=True) for cell in ("lstm", "peephole_lstm", "gru_cudnn", "rnn_tanh")),
    ],
    "jax": [
        *(Case(cell, "training", 3, 8, 6) for cell in ("lstm", "peephole_lstm", "peephole_lstm_full")),
        *(Case(cell, "training", 3, 8, 6) for cell in ("gru_cudnn", "gru_chung2014", "rnn_leaky_relu")),
        Case("lstm", "inference", 1, 8, 6),
    ],
}
NOT_SERVED = {
    "onnxruntime": [
        (Case("lstm", "training", 3, 8, 6), "onnxruntime does not train"),
        (Case("peephole_lstm_full", "inference", 3, 8, 6), "ONNX has no operator for peephole_lstm_full"),
        (Case("lstm", "inference", 3, 8, 6, ragged=True), "onnxruntime is timed on full rows"),
    ],
    "jax": [
        (Case("lstm", "training", 3, 8, 6, bidirectional=True), "in one direction"),
        (Case("lstm", "training", 3, 8, 6, reset=0.5), "jax is timed on full rows"),
        (Case("lstm", "inference", 1, 8, 6, stream=True), "for whole sequences"),
    ],
}


@installed
def test_a_library_computes_the_same(library):
    with Worker(library, 1) as worker:
        assert worker.version.startswith(f"{library} ")
        for case in SERVED[library]:
            contender = worker.contender(case)
            assert isinstance(contender, Remote), case
            # Calls change the weights in training; the results are those of the given ones again.
            assert all(seconds > 0 for seconds in contender.time_calls(3))
            assert Reference(case).agreement(contender).wrong is None, case


@installed
def test_what_a_library_does_not_do_is_reported(library):
    with Worker(library, 1) as worker:
        for case, message in NOT_SERVED[library]:
            answer = worker.contender(case)
            assert isinstance(answer, str)
            assert message in answer


@installed
def test_a_worker_that_dies_says_so(library):
    with Worker(library, 1) as worker:
        worker._process.kill()
        with pytest.raises(WorkerError, match=f"{library} ended with code -9"):
            worker.ask("compute")


def test_a_worker_that_cannot_start_says_why():
    with pytest.raises(WorkerError, match=r"nonesuch ended with code 1: .*nonesuch"):
        Worker("nonesuch", 1)  # pyright: ignore[reportArgumentType]


def test_a_library_that_is_not_installed_is_reported(monkeypatch):
    monkeypatch.setattr(client.importlib.util, "find_spec", lambda name: None)
    assert (
        missing("onnxruntime")
        == "onnxruntime is not timed: onnx and onnxruntime not installed (make bench installs them)"
    )


def test_a_worker_imports_no_torch():
    code = "import benchmarks.workers.serve, sys; print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"
