"""Error reporting of the command line, and its help."""

import os
import shlex
import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from cyclopts import App

import gatewise
from gatewise import cli

VERBS = ("evaluate", "explain", "inspect", "predict", "train")


def leave(arguments: list[str]) -> int | str | None:
    with pytest.raises(SystemExit) as raised:
        cli.main(arguments)
    return raised.value.code


@pytest.fixture
def verb(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., object]], None]:
    """Puts one verb, ``act``, in place of the real ones."""

    def install(act: Callable[..., object]) -> None:
        app = App(name="gatewise", suppress_keyboard_interrupt=False, result_action="return_none")
        app.command(act, name="act")
        monkeypatch.setattr(cli, "build_app", lambda: app)

    return install


def raising(error: BaseException) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("--hidden: expected at least 1, got 0"), "--hidden: expected at least 1, got 0"),
        (ValueError("two\nlines"), "two lines"),
        (ValueError(), "ValueError"),
        (TypeError("expected an int"), "expected an int"),
        (FileNotFoundError(2, "No such file or directory", "book.txt"), "book.txt: No such file or directory"),
        (OSError(28, "No space left on device"), "[Errno 28] No space left on device"),
        (MemoryError(), "out of memory; try a smaller batch or model (out of memory)"),
        (
            RuntimeError("[enforce fail at a.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: you\nb"),
            "out of memory; try a smaller batch or model ([enforce fail at a.cpp:117] err == 0. "
            "DefaultCPUAllocator: can't allocate memory: you)",
        ),
        (
            torch.OutOfMemoryError("CUDA out of memory.\nmore"),
            "out of memory; try a smaller batch or model (CUDA out of memory.)",
        ),
    ],
)
def test_usage_error_is_one_line_and_code_2(verb, capsys, error, message):
    verb(raising(error))
    assert leave(["act"]) == 2
    captured = capsys.readouterr()
    assert captured.err == f"gatewise: error: {message}\n"
    assert captured.out == ""


def test_debugging_shows_the_traceback_of_a_usage_error(verb, monkeypatch):
    monkeypatch.setenv("GATEWISE_DEBUG", "1")
    verb(raising(ValueError("wrong")))
    with pytest.raises(ValueError, match="wrong"):
        cli.main(["act"])


@pytest.mark.parametrize("defect", [AssertionError("ours"), KeyError("ours"), RuntimeError("ours")])
def test_a_defect_keeps_its_traceback(verb, defect):
    verb(raising(defect))
    with pytest.raises(type(defect), match="ours"):
        cli.main(["act"])


def test_control_c_is_130(verb, capsys):
    verb(raising(KeyboardInterrupt()))
    assert leave(["act"]) == 130
    assert capsys.readouterr().err == ""


def test_success_is_0(verb):
    verb(lambda: None)
    assert leave(["act"]) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fly"], "fly"),
        (["act", "--steps", "1", "--unknown", "1"], "--unknown"),
        (["act", "--steps", "many"], "many"),
        (["act"], "--steps"),
    ],
)
def test_unparsable_arguments_are_one_line_and_code_2(verb, capsys, words, message):
    def act(*, steps: int) -> None:
        raise AssertionError("must not run")

    verb(act)
    assert leave(words) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("gatewise: error: ")
    assert captured.err.count("\n") == 1
    assert message in captured.err


def test_closed_pipe_is_not_an_error():
    run = subprocess.Popen(
        [sys.executable, "-m", "gatewise", "explain", "lstm"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert run.stdout is not None
    assert run.stderr is not None
    run.stdout.close()
    assert run.wait() == 141
    assert run.stderr.read() == b""
    run.stderr.close()


def test_version(capsys):
    assert leave(["--version"]) == 0
    assert capsys.readouterr().out == f"{gatewise.__version__}\n"


def test_help_lists_every_subcommand(capsys):
    assert leave(["--help"]) == 0
    rows = [line.strip("│ ").split() for line in capsys.readouterr().out.splitlines()]
    for verb in VERBS:
        (words,) = [words for words in rows if words[:1] == [verb]]
        assert len(words) > 3


@pytest.mark.parametrize("verb", [None, *VERBS])
def test_every_help_ends_with_two_commands_that_parse(capsys, verb):
    assert leave([verb, "--help"] if verb else ["--help"]) == 0
    *_, title, first, second = capsys.readouterr().out.rstrip().splitlines()
    assert title == "Try:"
    for command in (first, second):
        program, *words = shlex.split(command)
        assert program == "gatewise"
        assert verb in (None, words[0])
        cli.build_app().parse_args(words, exit_on_error=False, print_error=False)
