import os
import subprocess
import sys

import pytest

from gatewise.cli import main
from gatewise.cli.explain import explain
from gatewise.explanations import explain as page
from gatewise.explanations import topics


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as leaving:
        main(["explain", *words])
    return int(str(leaving.value.code))


def test_prints_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("lstm", "--input", "3", "--hidden", "5") == 0
    assert capsys.readouterr().out == page("lstm", input_size=3, hidden_size=5) + "\n"


def test_prints_latex(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("gru", "--latex") == 0
    assert capsys.readouterr().out == page("gru", latex=True) + "\n"


def test_steps(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("bptt", "--steps", "2") == 0
    assert capsys.readouterr().out == page("bptt", steps=2) + "\n"


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(topics())
    assert all(len(line) <= 100 and len(line.split()) > 2 for line in lines)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("lsmt",), "unknown topic 'lsmt': did you mean"),
        ((), "name a cell or a topic"),
        (("bptt", "--steps", "0"), "steps: expected a whole number from 1, got 0"),
        (("lstm", "--hidden", "many"), "many"),
        (("missing.py:cell",), "missing.py: there is no such file"),
    ],
)
def test_mistakes_are_one_line(words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("gatewise: error: ")
    assert message in err


def test_an_output_that_cannot_hold_the_text() -> None:
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    told = subprocess.run(
        [sys.executable, "-m", "gatewise", "explain", "lstm"], env=environment, capture_output=True, text=True
    )
    assert told.returncode == 2
    assert told.stdout == ""
    assert "needs UTF-8" in told.stderr
    assert "PYTHONIOENCODING=utf-8" in told.stderr


def test_is_a_plain_function(capsys: pytest.CaptureFixture[str]) -> None:
    explain("gates")
    assert capsys.readouterr().out == page("gates") + "\n"
