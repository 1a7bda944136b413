"""`gatewise bench`: its output and its mistakes. Nothing is measured."""

import json
from pathlib import Path

import pytest

from gatewise import cli
from gatewise.benchmarks import memory, running
from gatewise.benchmarks.memory import Measured, MemoryOutcome
from gatewise.benchmarks.outcome import Comparison, Row
from gatewise.benchmarks.spread import Spread

GALLERY = Path(__file__).parents[2] / "examples" / "cells"

RIGHT = (
    Row("gatewise", "ours", Spread(1.0, 1.0, 1.0), None, 1.0, 0.5, 0.5),
    Row("torch.nn.LSTM", "peer", Spread(2.0, 2.0, 2.0), Spread(2.0, 2.0, 2.0), 1.0, 0.5, 0.5),
)


@pytest.fixture
def comparing(monkeypatch):
    """Puts given rows in place of measured ones."""

    def install(rows=RIGHT, wrong=()):
        monkeypatch.setattr(
            running,
            "compare",
            lambda point, *_: Comparison(point, "cpu", 100.0, point.T, rows, dict(wrong), (), None),
        )
        monkeypatch.setattr(running, "missing", lambda library: f"{library} is not timed: not installed")

    return install


def run(*words: str) -> int | str | None:
    with pytest.raises(SystemExit) as left:
        cli.main(["bench", *words])
    return left.value.code


def test_the_table_comes_with_what_it_depends_on(comparing, capsys):
    comparing()
    assert run("core", "--cells", "lstm", "--mode", "training") == 0
    captured = capsys.readouterr()
    assert "load average" in captured.out
    assert "jax is not timed: not installed" in captured.out
    assert captured.out.count("torch.nn.LSTM ") == 5 + 1
    assert "best peer" in captured.out
    assert captured.err.splitlines()[0].startswith("4 points left, about ")
    assert captured.err.splitlines()[-1].startswith("1 point left, about ")


def test_json_is_all_of_the_output(comparing, capsys):
    comparing()
    assert run("ragged", "--json", "--cells", "lstm", "gru_cudnn", "--mode", "inference") == 0
    read = json.loads(capsys.readouterr().out)
    assert [one["point"]["cell"] for one in read["comparisons"]] == ["lstm", "gru_cudnn"]


def test_a_cell_of_a_file(comparing, capsys):
    comparing()
    assert run("--cell", str(GALLERY / "ugrnn.py:ugrnn"), "--mode", "training", "--json") == 0
    read = json.loads(capsys.readouterr().out)
    assert {one["point"]["cell"] for one in read["comparisons"]} == {"ugrnn"}
    assert read["comparisons"][0]["point"]["text"].startswith('gatewise cell 1\nname "ugrnn"\n')
    assert run("--cell", str(GALLERY / "ugrnn.py:other")) == 2
    assert "has no cell 'other': its cells are ugrnn" in capsys.readouterr().err


def test_a_wrong_answer_of_ours_is_exit_code_1(comparing, capsys):
    comparing((), {"gatewise": "output is 1 off"})
    assert run("ragged") == 1
    assert "WRONG, not timed: gatewise: output is 1 off" in capsys.readouterr().out


def test_a_wrong_answer_of_another_is_not_ours(comparing):
    comparing(RIGHT[:1], {"jax": "output is 1 off"})
    assert run("ragged") == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["cores"], "cores"),
        (["--mode", "both"], "both"),
        (["--cells", "lstn"], "lstn"),
        (["--pairs", "9"], "pairs: expected at least 10"),
        (["--pairs", "many"], "many"),
        (["--threads", "0"], "threads: expected at least 1"),
        (["--against", "keras"], "keras"),
        (["--against", "jax"], "jax is not timed: not installed"),
        (["--max-minutes", "0"], "max_minutes: expected more than 0"),
        (["--fast"], "--fast"),
    ],
)
def test_a_mistake_is_one_line_and_code_2(comparing, capsys, words, told):
    comparing()
    assert run(*words) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("gatewise: error: ")
    assert captured.err.count("\n") == 1
    assert told in captured.err
    assert captured.out == ""


def test_memory_is_a_grid_of_its_own(monkeypatch, capsys):
    def measure(cells, *, threads, max_minutes, told):
        found = MemoryOutcome({"threads": threads, **dict.fromkeys(("processor", "processors"), "1")}, 0.0)
        found.machine |= {"gatewise": "0", "torch": "2"}
        found.measured.append(Measured(cells[0], "plain", 10, 3_000_000, 7.0))
        told(found)
        return found

    monkeypatch.setattr(memory, "measure", measure)
    assert run("--grid", "memory", "--threads", "1") == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines()[-1].split() == ["lstm", "10", "plain", "3.0", "7.0", "1.00"]
    assert captured.err == "lstm plain T=10: done\n"
    assert run("memory", "--json") == 0
    assert json.loads(capsys.readouterr().out)["measured"][0]["own_bytes"] == 3_000_000
    assert run("memory", "--against", "torch") == 2
    assert "the grid memory is of training" in capsys.readouterr().err
