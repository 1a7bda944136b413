import os
import time

import pytest
import torch

from benchmarks import machine


def test_a_busy_machine_is_warned_of():
    assert machine.load_warning(0.5) is None
    warning = machine.load_warning(0.6)
    assert warning is not None
    assert "0.6 at the start" in warning
    assert "worthless" in warning


def test_what_a_measurement_depends_on_is_reported():
    about = machine.describe()
    assert about["torch"] == torch.__version__
    assert about["threads"] == torch.get_num_threads()
    assert about["processor"]
    assert about["instruction_set"]


def test_memory_is_reported():
    assert machine.available_memory() > 2**20


def test_our_own_work_is_not_that_of_others(monkeypatch):
    busy, own = [100.0], [10.0]
    monkeypatch.setattr(machine, "_busy_seconds", lambda: busy[0])
    monkeypatch.setattr(machine, "_process_seconds", lambda pid: {7: own[0]}[pid])
    monkeypatch.setattr(machine.os, "times", lambda: os.times_result((own[0], 0.0, 0.0, 0.0, 0.0)))
    monkeypatch.setattr(machine.time, "monotonic", lambda: busy[0])
    others = machine.OtherProcesses([7])
    # In ten seconds two of ours have taken three each, and all processors sixteen.
    busy[0] += 10
    own[0] += 3
    monkeypatch.setattr(machine, "_busy_seconds", lambda: 116.0)
    assert others.processors() == pytest.approx(1.0)


def test_busy_is_all_but_idle_and_waiting(monkeypatch):
    # user nice system idle iowait irq softirq steal guest guest_nice; a guest's time is in user's already.
    text = "cpu  100 20 3000 7777 8888 400 50 6 9999 9999\ncpu0 1 1 1 1 1 1 1 1 1 1\n"
    monkeypatch.setattr(machine.Path, "read_text", lambda path: text)
    assert machine._busy_seconds() == pytest.approx(3576 / os.sysconf("SC_CLK_TCK"))


def test_where_the_system_tells_nothing_nothing_is_reported(monkeypatch):
    monkeypatch.setattr(machine, "_busy_seconds", lambda: None)
    assert machine.OtherProcesses([]).processors() is None


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="Linux tells processor time in /proc")
def test_processor_time_is_that_of_the_process():
    before = machine._process_seconds(os.getpid())
    used = time.process_time()
    while time.process_time() < used + 0.05:
        pass
    assert machine._process_seconds(os.getpid()) >= before + 0.03
    assert machine._process_seconds(2**30) == 0
