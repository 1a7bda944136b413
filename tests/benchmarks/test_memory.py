"""The grid of memory: small sequences, really measured, and errors."""

import sys

import pytest

from benchmarks import memory
from benchmarks.memory import MemoryResults, measure, table

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="the memory of a process is read as on Linux"
)


@pytest.fixture(scope="module")
def results() -> MemoryResults:
    counts: list[int] = []
    found = measure(steps=(2000,), threads=1, on_progress=lambda results: counts.append(len(results.measured)))
    assert counts == [1, 2, 3]
    return found


def test_every_way_takes_less_than_the_one_before(results: MemoryResults):
    plain, checkpointed, truncated = results.measured
    assert [one.strategy for one in results.measured] == list(memory.STRATEGIES)
    # The plain path keeps at least the four gates; their gradients are made for a part of the steps at a time.
    assert plain.own_bytes > 4 * 2000 * 8 * 256 * 4
    assert max(checkpointed.own_bytes, truncated.own_bytes) < plain.own_bytes / 2
    assert all(one.us_per_step > 1 for one in results.measured)


def test_the_table_tells_all_of_it(results: MemoryResults):
    lines = table(results).splitlines()
    rows = [line.split() for line in lines if line.startswith("lstm ")]
    assert [row[:3] for row in rows] == [["lstm", "2000", strategy] for strategy in memory.STRATEGIES]
    assert [float(row[3]) for row in rows] == [round(one.own_bytes / 1e6, 1) for one in results.measured]
    assert rows[0][-1] == "1.00"
    assert results.as_dict()["measured"][0]["own_bytes"] == results.measured[0].own_bytes


def test_what_does_not_fit_is_skipped(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(memory.machine, "available_memory", lambda: 0)
    found = measure(steps=(2000,))
    assert found.measured == []
    assert "skipped, too little memory: lstm plain T=2000; lstm checkpointed T=2000; lstm tbptt T=2000" in table(found)
    monkeypatch.undo()
    assert len(measure(steps=(10,), max_minutes=1e-9).skipped["no time left"]) == 3


def test_mistakes():
    with pytest.raises(ValueError, match="steps: expected at least 1, got 0"):
        measure(steps=(0,))
    with pytest.raises(ValueError, match="unknown cell 'lsmt'"):
        measure(["lsmt"])


def test_a_process_that_fails_says_why(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(memory.sys, "executable", "/bin/false")
    with pytest.raises(OSError, match="the process that trains lstm plain over 5 steps ended with: code 1"):
        measure(steps=(5,))
