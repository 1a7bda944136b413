"""The command line in this process."""

import shlex

import pytest

from gatewise import cli


def leave(*arguments):
    """Run a command; its exit code."""
    with pytest.raises(SystemExit) as raised:
        cli.main([str(argument) for argument in arguments])
    return raised.value.code


def suggested_commands(out):
    """The commands that an output suggests, each of which parses."""
    commands = [line for line in out.splitlines() if line.startswith("  gatewise ")]
    for line in commands:
        cli.build_app().parse_args(shlex.split(line)[1:], exit_on_error=False, print_error=False)
    return commands


def check_mistake(folder, capsys, words, message):
    """A command with an error reports it in one line and writes nothing."""
    before = sorted(folder.rglob("*"))
    assert leave(*words.split()) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("gatewise: error: ")
    assert captured.err.count("\n") == 1
    assert message in captured.err
    assert sorted(folder.rglob("*")) == before
