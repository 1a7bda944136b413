"""`python -m benchmarks`: its output and its mistakes. Nothing is measured."""

import json
from pathlib import Path

import pytest

from benchmarks import runner
from benchmarks.__main__ import main
from benchmarks.memory import Measurement, MemoryResults
from benchmarks.results import Comparison, ContenderResult
from benchmarks.statistics import Quartiles

GALLERY = Path(__file__).parents[2] / "examples" / "cells"

RIGHT = (
    ContenderResult("gatewise", "ours", Quartiles(1.0, 1.0, 1.0), None, 1.0, 0.5, 0.5),
    ContenderResult("torch.nn.LSTM", "peer", Quartiles(2.0, 2.0, 2.0), Quartiles(2.0, 2.0, 2.0), 1.0, 0.5, 0.5),
)


@pytest.fixture
def comparing(monkeypatch):
    """Puts given rows in place of measured ones."""

    def install(rows=RIGHT, wrong=()):
        monkeypatch.setattr(
            runner,
            "compare",
            lambda case, *_: Comparison(case, "cpu", 100.0, case.T, rows, dict(wrong), (), None),
        )
        monkeypatch.setattr(runner, "missing", lambda library: f"{library} is not timed: not installed")

    return install


def exit_code(*words: str) -> int | str | None:
    with pytest.raises(SystemExit) as left:
        main(words)
    return left.value.code


def test_the_table_comes_with_what_it_depends_on(comparing, capsys):
    comparing()
    assert exit_code("core", "--cells", "lstm", "--mode", "training") == 0
    captured = capsys.readouterr()
    assert "load average" in captured.out
    assert "jax is not timed: not installed" in captured.out
    assert captured.out.count("torch.nn.LSTM ") == 5 + 1
    assert "best peer" in captured.out
    assert captured.err.splitlines()[0].startswith("4 cases left, about ")
    assert captured.err.splitlines()[-1].startswith("1 case left, about ")


def test_json_is_all_of_the_output(comparing, capsys):
    comparing()
    assert exit_code("ragged", "--json", "--cells", "lstm", "gru_cudnn", "--mode", "inference") == 0
    read = json.loads(capsys.readouterr().out)
    assert [one["case"]["cell"] for one in read["comparisons"]] == ["lstm", "gru_cudnn"]


def test_a_cell_of_a_file(comparing, capsys):
    comparing()
    assert exit_code("--cell", str(GALLERY / "ugrnn.py:ugrnn"), "--mode", "training", "--json") == 0
    read = json.loads(capsys.readouterr().out)
    assert {one["case"]["cell"] for one in read["comparisons"]} == {"ugrnn"}
    assert read["comparisons"][0]["case"]["text"].startswith('gatewise cell 1\nname "ugrnn"\n')
    assert exit_code("--cell", str(GALLERY / "ugrnn.py:other")) == 2
    assert "has no cell 'other': its cells are ugrnn" in capsys.readouterr().err


def test_a_wrong_answer_of_ours_is_exit_code_1(comparing, capsys):
    comparing((), {"gatewise": "output is 1 off"})
    assert exit_code("ragged") == 1
    assert "WRONG, not timed: gatewise: output is 1 off" in capsys.readouterr().out


def test_a_wrong_answer_of_another_is_not_ours(comparing):
    comparing(RIGHT[:1], {"jax": "output is 1 off"})
    assert exit_code("ragged") == 0


@pytest.mark.parametrize(
    ("words", "message"),
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
def test_a_mistake_is_one_line_and_code_2(comparing, capsys, words, message):
    comparing()
    assert exit_code(*words) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("benchmarks: error: ")
    assert captured.err.count("\n") == 1
    assert message in captured.err
    assert captured.out == ""


def test_memory_is_a_grid_of_its_own(monkeypatch, capsys):
    def measure(cells, *, threads, max_minutes, on_progress):
        found = MemoryResults({"threads": threads, **dict.fromkeys(("processor", "processors"), "1")}, 0.0)
        found.machine |= {"gatewise": "0", "torch": "2"}
        found.measured.append(Measurement(cells[0], "plain", 10, 3_000_000, 7.0))
        on_progress(found)
        return found

    monkeypatch.setattr("benchmarks.__main__.measure", measure)
    assert exit_code("--grid", "memory", "--threads", "1") == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines()[-1].split() == ["lstm", "10", "plain", "3.0", "7.0", "1.00"]
    assert captured.err == "lstm plain T=10: done\n"
    assert exit_code("memory", "--json") == 0
    assert json.loads(capsys.readouterr().out)["measured"][0]["own_bytes"] == 3_000_000
    assert exit_code("memory", "--against", "torch") == 2
    assert "the grid memory takes no mode, against or pairs" in capsys.readouterr().err


def test_contended_is_a_grid_of_its_own(capsys):
    assert exit_code("contended", "--against", "torch") == 2
    assert "the grid contended takes no mode, against or max-minutes" in capsys.readouterr().err
    assert exit_code("contended", "--threads", "1") == 2
    assert "threads: expected 2 or more" in capsys.readouterr().err
