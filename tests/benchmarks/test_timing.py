"""Turns and their order. Nothing is measured here: the contenders say how long they took."""

import pytest

from benchmarks import timing
from benchmarks.timing import LONG_SECONDS, MOST_CALLS, TURN_SECONDS, interleaved


class Scripted:
    """A contender whose every call takes as long as it says."""

    def __init__(self, name, seconds, log, remote=False):
        self.name, self.seconds, self.remote = name, seconds, remote
        self.log = log

    def compute(self):
        return {}

    def time_calls(self, calls):
        self.log.append((self.name, calls))
        # The first call of a turn is cold.
        return [100 * self.seconds] * (calls > 1) + [self.seconds] * (calls - (calls > 1))


@pytest.fixture
def slept(monkeypatch):
    times = []
    monkeypatch.setattr(timing.time, "sleep", times.append)
    return times


def test_sides_take_turns(slept):
    log = []
    rounds = interleaved([Scripted("a", 0.001, log), Scripted("b", 0.002, log)], 12)
    assert [name for name, _ in log[-24:]] == ["a", "b"] * 12
    assert [len(times) for times in rounds] == [12, 12]
    assert slept == []


def test_the_cold_first_call_does_not_count(slept):
    rounds = interleaved([Scripted("a", 0.001, []), Scripted("b", 1.0, [])], 10)
    assert rounds == [pytest.approx([0.001] * 10), pytest.approx([1.0] * 10)]


@pytest.mark.parametrize(
    ("seconds", "calls"),
    [(TURN_SECONDS / 5, 1 + 5), (TURN_SECONDS * 2, 1 + 1), (1e-9, 1 + MOST_CALLS), (LONG_SECONDS * 2, 1)],
)
def test_a_turn_is_as_long_as_it_should_be(slept, seconds, calls):
    log = []
    interleaved([Scripted("a", seconds, log)], 10)
    assert {count for _, count in log[-10:]} == {calls}


def test_threads_settle_before_and_after_another_process(slept):
    log = []
    interleaved([Scripted("a", 0.001, log), Scripted("b", 0.001, log, remote=True), Scripted("c", 0.001, log)], 10)
    assert slept == [timing.SETTLE_SECONDS] * 20
