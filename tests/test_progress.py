"""Progress of long work: bars on a terminal and in a notebook, lines elsewhere, nothing of what ends soon."""

import os
import sys
import threading

import pytest

from gatewise import progress
from gatewise.progress import Progress, hidden, say, tracked
from tests.shown import Stream, shown_on


def test_a_loop_on_a_terminal_has_a_bar_with_share_speed_and_time_left(monkeypatch):
    pytest.importorskip("tqdm")
    terminal = shown_on(Stream(terminal=True), monkeypatch)
    for _ in tracked([1, 2, 3, 4], "scoring", "tokens", size=lambda item: 100 * item):
        terminal.wait()
    displayed = [part for part in terminal.getvalue().split("\r") if part.strip()]
    bar = next(part for part in displayed if "75%" in part)
    assert bar.startswith("scoring:  75%|")
    assert " left, 600 tokens, " in bar
    assert bar.rstrip().endswith(" tokens/s")
    assert len(bar) <= 80
    assert terminal.getvalue().endswith("\r")  # and it is gone


def test_elsewhere_there_are_lines_and_of_nested_work_only_those_of_the_innermost(monkeypatch):
    pipe = shown_on(Stream(terminal=False), monkeypatch)
    with Progress("preparing"):
        pipe.wait()
        for _ in tracked(iter("ab"), "reading a{b}.csv", "rows"):
            pipe.wait()
        inner = pipe.getvalue()
    lines = inner.splitlines()
    assert lines[0].startswith("preparing: 0:0")
    assert any(line.startswith("reading a{b}.csv: 0:0") and " 1 rows, " in line for line in lines)
    changes = [line.partition(":")[0] for line in lines]
    assert changes == sorted(changes)  # "preparing" is not reported while "reading" is
    assert "%" not in inner


def test_a_line_has_the_share_where_the_number_of_steps_is_known(monkeypatch):
    pipe = shown_on(Stream(terminal=False), monkeypatch)
    for _ in tracked("abcd", "scoring", "letters"):
        pipe.wait()
    assert "\nscoring: 75%, 0:0" in pipe.getvalue()


def test_a_long_call_that_tells_nothing_is_shown_and_names_with_braces_are_not_fields(monkeypatch):
    terminal = shown_on(Stream(terminal=True), monkeypatch)
    with Progress("reading {x}.csv"):
        assert "reading {x}.csv: 0:0" in terminal.wait()


def test_work_that_ends_soon_shows_nothing(monkeypatch, capsys):
    monkeypatch.setattr(progress, "BETWEEN_DRAWINGS", 0.001)
    monkeypatch.setattr(progress, "_kind_of_bar", lambda: say("a bar"))
    looked = threading.Event()
    monkeypatch.setattr(Progress, "age", property(lambda self: looked.set() or progress.SHOWN_AFTER - 0.1))
    for item in tracked("ab", "scoring", "letters"):
        looked.clear()
        assert looked.wait(60), item
    assert capsys.readouterr() == ("", "")


def test_a_line_is_written_only_where_there_was_none_for_a_while(monkeypatch):
    pipe = shown_on(Stream(terminal=False), monkeypatch)
    monkeypatch.setattr(progress, "BETWEEN_LINES", 1e9)
    displayed = threading.Event()
    with Progress("scoring", status=lambda: pytest.fail("a line")) as one:
        monkeypatch.setattr(type(one), "age", property(lambda self: displayed.set() or 1e12))
        say("epoch 1")
        displayed.clear()
        assert displayed.wait(60)
    assert pipe.getvalue() == "epoch 1\n"


def test_a_notice_is_above_the_bar(monkeypatch):
    pytest.importorskip("tqdm")
    terminal = shown_on(Stream(terminal=True), monkeypatch)
    with Progress("scoring", "tokens", 10):
        terminal.wait()
        say("warning: look")
    assert "\rwarning: look\n" in terminal.getvalue()


def test_without_tqdm_a_terminal_has_lines(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    terminal = shown_on(Stream(terminal=True), monkeypatch)
    with Progress("scoring", "tokens", 10):
        terminal.wait()
        say("warning: look")
    lines = terminal.getvalue().splitlines()
    assert lines[0].startswith("scoring: 0%, ")
    assert "warning: look" in lines
    assert "\r" not in terminal.getvalue()


def test_nothing_is_shown_where_results_stand_on_the_same_terminal(monkeypatch):
    terminal = shown_on(Stream(terminal=True), monkeypatch)
    looked = threading.Event()
    monkeypatch.setattr(Progress, "age", property(lambda self: looked.set() or 1.0))
    with hidden(), Progress("predicting"):
        looked.wait(0.05)
    assert terminal.getvalue() == ""
    assert not looked.is_set()


def test_an_error_inside_leaves_no_bar(monkeypatch):
    pytest.importorskip("tqdm")
    terminal = shown_on(Stream(terminal=True), monkeypatch)

    def fail():
        loop = tracked([1, 2], "scoring", "texts")
        next(loop)
        terminal.wait()
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine") as caught:
        fail()
    progress.clear()
    assert caught.tb  # which still holds the loop
    written = terminal.getvalue()
    assert written.endswith("\r")
    assert "scoring" not in written.rpartition("\r")[0].rpartition("\r")[2]


def test_a_notebook_has_bars_of_its_own(monkeypatch):
    pytest.importorskip("tqdm")
    pipe = shown_on(Stream(terminal=False), monkeypatch)
    made = []

    class Bar:
        def __init__(self, **options):
            made.append((options, self))
            self.n, self.ncols, self.bar_format = 0, None, options["bar_format"]

        def refresh(self):
            made.append((self.n, self.bar_format))

        def close(self):
            made.append("closed")

    Bar.__module__ = "tqdm.notebook"
    monkeypatch.setattr("tqdm.auto.tqdm", Bar)
    drawn = threading.Event()
    monkeypatch.setattr(Bar, "refresh", lambda self: (made.append(self.n), drawn.set()))
    with Progress("scoring", "tokens", 10) as one:
        assert drawn.wait(60)
        one.advance()
        drawn.clear()
        assert drawn.wait(60)
    options, _ = made[0]
    assert options["total"] == 10
    assert "ncols" not in options
    assert made[-1] == "closed"
    assert 1 in made
    assert pipe.getvalue() == ""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_shows_its_own_work(tmp_path):
    with Progress("outside"):
        child = os.fork()
        if child == 0:  # pragma: no cover
            running = progress._board._running
            os._exit(len(running))
        _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
