"""A run over a grid: what is requested, what is skipped. No case is measured."""

import pytest
import torch

from benchmarks import runner
from benchmarks.cases import cases
from benchmarks.results import Comparison
from benchmarks.runner import run
from benchmarks.workers.client import WorkerError


@pytest.fixture
def compared(monkeypatch):
    """Puts in place of the comparison one that notes its arguments; nothing is installed but torch."""
    asked = []

    def compare(case, grid, peers, workers, pairs):
        asked.append((case, peers, torch.get_num_threads(), pairs))
        return Comparison(case, "cpu", 100.0, case.T, (), {}, (), None)

    monkeypatch.setattr(runner, "compare", compare)
    monkeypatch.setattr(runner, "missing", lambda library: f"{library} is not timed: not installed")
    monkeypatch.setattr(runner.machine, "load_average", lambda: 0.0)
    return asked


def test_every_point_is_compared(compared):
    threads = torch.get_num_threads()
    results = run("core", cells=["lstm"], mode="inference", threads=1, pairs=12)
    assert [case for case, *_ in compared] == cases("core", ["lstm"], ["inference"])
    assert {(tuple(peers), threads, pairs) for _, peers, threads, pairs in compared} == {(("torch", "loop"), 1, 12)}
    assert len(results.comparisons) == 5
    assert results.machine["threads"] == 1
    assert torch.get_num_threads() == threads


def test_libraries_that_are_not_installed_are_reported(compared):
    assert run("core", cells=["lstm"]).unavailable == [
        "onnxruntime is not timed: not installed",
        "jax is not timed: not installed",
    ]
    assert run("reset", cells=["lstm"]).unavailable == []


def test_a_library_that_does_not_start_is_reported(compared, monkeypatch):
    def broken(library, threads):
        raise WorkerError(f"{library} ended with code 1: broken")

    monkeypatch.setattr(runner, "missing", lambda library: None)
    monkeypatch.setattr(runner, "Worker", broken)
    results = run("variants", mode="inference")
    assert results.unavailable == ["onnxruntime ended with code 1: broken", "jax ended with code 1: broken"]
    assert {tuple(peers) for _, peers, *_ in compared} == {("loop",)}


def test_a_busy_machine_is_reported(compared, monkeypatch):
    monkeypatch.setattr(runner.machine, "load_average", lambda: 3.0)
    monkeypatch.setattr(runner.machine.OtherProcesses, "processors", lambda self: 1.2)
    first, second = run("ragged").warnings
    assert "load average was 3.0" in first
    assert "other processes kept 1.2 processors busy" in second


def test_what_does_not_fit_in_the_time_is_skipped(compared, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(runner.time, "monotonic", lambda: clock[0])
    plain = runner.compare

    def slow(*arguments):
        clock[0] += 25
        return plain(*arguments)

    monkeypatch.setattr(runner, "compare", slow)
    results = run("core", cells=["rnn_tanh"], mode="inference", max_minutes=1)
    assert len(results.comparisons) == 2
    assert len(results.skipped["no time left"]) == 3


def test_the_first_point_is_always_compared(compared):
    assert len(run("core", max_minutes=1e-9).comparisons) == 1


def test_what_does_not_fit_in_memory_is_skipped(compared, monkeypatch):
    monkeypatch.setattr(runner.machine, "available_memory", lambda: 0)
    results = run("ragged", cells=["lstm"], mode="training")
    assert results.comparisons == []
    assert results.skipped == {"too little memory": ["lstm training B=32 H=128 T=1000, ragged"]}


def test_the_reporter_receives_the_progress(compared):
    events = []

    class Reporter:
        def started(self, results):
            events.append(results.grid)

        def measured(self, comparison, left, seconds_left):
            events.append((left, seconds_left >= 0))

    run("ragged", mode="training", reporter=Reporter())
    assert events == ["ragged", (1, True), (0, True)]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"grid": "cores"}, ValueError, "grid: expected one of core"),
        ({"cells": ["lstn"]}, ValueError, "unknown cell 'lstn'"),
        ({"mode": "both"}, ValueError, "mode: expected one of training, inference, got 'both'"),
        ({"pairs": 9}, ValueError, "pairs: expected at least 10, got 9"),
        ({"pairs": 10.5}, TypeError, "pairs: expected an int, got 10.5"),
        ({"threads": 0}, ValueError, "threads: expected at least 1, got 0"),
        ({"max_minutes": 0}, ValueError, "max_minutes: expected more than 0, got 0"),
        ({"max_minutes": float("nan")}, ValueError, "max_minutes: expected more than 0, got nan"),
        ({"against": ["keras"]}, ValueError, "against: expected some of torch, .* got 'keras'"),
        ({"against": ["jax"]}, ValueError, "against: jax is not timed: not installed"),
    ],
)
def test_what_cannot_be_done_raises_before_anything_is_measured(compared, options, error, message):
    with pytest.raises(error, match=message):
        run(**options)
    assert compared == []
