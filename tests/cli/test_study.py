"""``gatewise study`` as a user types it."""

import pytest

from gatewise.studies.registry import studies
from tests.cli.command_line import check_mistake, leave


def test_list(capsys):
    assert leave("study", "list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines] == [[one.name, one.word] for one in studies().values()]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("study", "name a study"),
        ("study memry", "did you mean memory"),
        ("study c11", "did you mean C1 or C10?"),
        ("study C6 --seeds 0", "seeds"),
        ("study C6 --resume", "--out"),
        ("study list --seeds 3", "list only lists the studies"),
        ("study all C6", "no other study beside it"),
    ],
)
def test_mistakes(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    check_mistake(tmp_path, capsys, words, message)
