"""A run over a grid: what is asked, what is left out. No point is measured."""

import pytest
import torch

import gatewise
from gatewise.benchmarks import running
from gatewise.benchmarks.outcome import Comparison
from gatewise.benchmarks.points import points
from gatewise.benchmarks.workers.client import WorkerError


@pytest.fixture
def compared(monkeypatch):
    """Puts in place of the comparison one that notes its arguments; nothing is installed but torch."""
    asked = []

    def compare(point, grid, peers, workers, pairs):
        asked.append((point, peers, torch.get_num_threads(), pairs))
        return Comparison(point, "cpu", 100.0, point.T, (), {}, (), None)

    monkeypatch.setattr(running, "compare", compare)
    monkeypatch.setattr(running, "missing", lambda library: f"{library} is not timed: not installed")
    monkeypatch.setattr(running.machine, "load_average", lambda: 0.0)
    return asked


def test_every_point_is_compared(compared):
    threads = torch.get_num_threads()
    outcome = gatewise.bench("core", cells=["lstm"], mode="inference", threads=1, pairs=12)
    assert [point for point, *_ in compared] == points("core", ["lstm"], ["inference"])
    assert {(tuple(peers), threads, pairs) for _, peers, threads, pairs in compared} == {(("torch", "loop"), 1, 12)}
    assert len(outcome.comparisons) == 5
    assert outcome.machine["threads"] == 1
    assert torch.get_num_threads() == threads


def test_libraries_that_are_not_installed_are_told_in_a_line(compared):
    assert gatewise.bench("core", cells=["lstm"]).absent == [
        "onnxruntime is not timed: not installed",
        "jax is not timed: not installed",
    ]
    assert gatewise.bench("reset", cells=["lstm"]).absent == []


def test_a_library_that_does_not_start_is_told(compared, monkeypatch):
    def broken(library, threads):
        raise WorkerError(f"{library} ended with code 1: broken")

    monkeypatch.setattr(running, "missing", lambda library: None)
    monkeypatch.setattr(running, "Worker", broken)
    outcome = gatewise.bench("variants", mode="inference")
    assert outcome.absent == ["onnxruntime ended with code 1: broken", "jax ended with code 1: broken"]
    assert {tuple(peers) for _, peers, *_ in compared} == {("loop",)}


def test_a_busy_machine_is_told(compared, monkeypatch):
    monkeypatch.setattr(running.machine, "load_average", lambda: 3.0)
    monkeypatch.setattr(running.machine.Others, "processors", lambda self: 1.2)
    first, second = gatewise.bench("ragged").warnings
    assert "load average was 3.0" in first
    assert "other processes kept 1.2 processors busy" in second


def test_what_does_not_fit_in_the_time_is_left_out(compared, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(running.time, "monotonic", lambda: clock[0])
    plain = running.compare

    def slow(*arguments):
        clock[0] += 25
        return plain(*arguments)

    monkeypatch.setattr(running, "compare", slow)
    outcome = gatewise.bench("core", cells=["rnn_tanh"], mode="inference", max_minutes=1)
    assert len(outcome.comparisons) == 2
    assert len(outcome.left_out["no time left"]) == 3


def test_the_first_point_is_always_compared(compared):
    assert len(gatewise.bench("core", max_minutes=1e-9).comparisons) == 1


def test_what_does_not_fit_in_memory_is_left_out(compared, monkeypatch):
    monkeypatch.setattr(running.machine, "available_memory", lambda: 0)
    outcome = gatewise.bench("ragged", cells=["lstm"], mode="training")
    assert outcome.comparisons == []
    assert outcome.left_out == {"too little memory": ["lstm training B=32 H=128 T=1000, ragged"]}


def test_a_watcher_is_told(compared):
    told = []

    class Watcher:
        def started(self, outcome):
            told.append(outcome.grid)

        def measured(self, comparison, left, seconds_left):
            told.append((left, seconds_left >= 0))

    gatewise.bench("ragged", mode="training", watcher=Watcher())
    assert told == ["ragged", (1, True), (0, True)]


@pytest.mark.parametrize(
    ("options", "error", "told"),
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
def test_what_cannot_be_done_is_told_before_anything_is(compared, options, error, told):
    with pytest.raises(error, match=told):
        gatewise.bench(**options)
    assert compared == []
