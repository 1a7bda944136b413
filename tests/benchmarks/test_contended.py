"""The grid of contention: one small call, really measured, and errors."""

import os
import signal
import subprocess

import pytest

from benchmarks import contended

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="processes cannot be pinned here")


def test_ours_and_torch_are_timed_beside_a_busy_program():
    rows: list[str] = []
    results = contended.measure(
        threads=2, pairs=2, shapes=[(4, 16, 10)], on_progress=lambda one: rows.append(contended.row(one))
    )
    ours, theirs = results.measured
    assert (ours.cell, theirs.cell) == ("lstm", "torch.nn.LSTM")
    assert ours.same_bits
    assert min(ours.quiet.median, ours.contended.median, ours.one.median) > 0
    assert rows[0].startswith("| lstm | 4, 16, 10 | ")
    assert rows[0].count("|") == contended.HEADING.splitlines()[0].count("|")
    assert results.as_dict()["measured"][0]["same_bits"] is True


def test_the_busy_program_ends_with_the_measurement(monkeypatch: pytest.MonkeyPatch):
    programs: list[subprocess.Popen[bytes]] = []
    start = subprocess.Popen
    monkeypatch.setattr(contended.subprocess, "Popen", lambda words: programs.append(start(words)) or programs[-1])
    with contended.busy_processor():
        assert programs[0].poll() is None
    assert programs[0].poll() == -signal.SIGKILL


def test_mistakes():
    with pytest.raises(ValueError, match="threads: expected 2 or more, the team that is disturbed, got 1"):
        contended.measure(threads=1)
    with pytest.raises(ValueError, match="unknown cell 'lsmt'"):
        contended.measure(["lsmt"], threads=2)
