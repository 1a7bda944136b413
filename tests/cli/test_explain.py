import os
import subprocess
import sys
from pathlib import Path

import pytest

from gatewise.cli import main
from gatewise.cli.explain import explain
from gatewise.embeddings import describe, nearest_words
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
    assert [line.split()[0] for line in lines] == [*topics(), "embedding"]
    assert all(len(line) <= 100 and len(line.split()) > 2 for line in lines)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("lsmt",), "unknown topic 'lsmt': did you mean"),
        ((), "name a cell or a topic"),
        (("bptt", "--steps", "0"), "steps: expected a whole number from 1, got 0"),
        (("lstm", "--hidden", "many"), "many"),
        (("missing.py:cell",), "missing.py: there is no such file"),
        (("embedding",), "name a file of word vectors, for example: gatewise explain embedding vectors.txt --nearest"),
        (("embedding", "missing.txt"), "missing.txt: No such file or directory"),
        (("embedding", __file__), "line 1: expected a word and its numbers"),
        (("lstm", "vectors.txt"), "file has no effect: it is an option of the topic embedding, got the topic 'lstm'"),
        (
            ("lstm", "--nearest", "cat"),
            "--nearest has no effect: it is an option of the topic embedding, got",
        ),
        (("lstm", "--count", "3"), "--count has no effect: it is an option of the topic embedding, got the topic"),
        (("lstm", "--steps", "3"), "steps: has no effect on the page of lstm"),
        (("bptt", "--hidden", "3"), "hidden_size: has no effect on the page of bptt"),
        (("gates", "--steps", "3"), "steps: has no effect on the page of gates"),
        (("embedding", __file__, "--latex"), "--latex has no effect: the topic is embedding"),
        (
            ("embedding", __file__, "--count", "3"),
            "--count has no effect: it is the number of words that --nearest",
        ),
        (("--list", "lstm"), "topic has no effect: --list lists all topics"),
    ],
)
def test_usage_errors_are_one_line(words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("gatewise: error: ")
    assert message in err


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    path = tmp_path / "vectors.txt"
    path.write_text("cat 1 1\ndog 2 1\nloud -1 1\n")
    return path


def test_describes_a_file_of_word_vectors(vectors: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("embedding", str(vectors)) == 0
    assert capsys.readouterr().out == describe(vectors) + "\n"


@pytest.mark.parametrize("count", [None, 1])
def test_lists_the_nearest_words(vectors: Path, count: int | None, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("embedding", str(vectors), "--nearest", "Cat", *([] if count is None else ["--count", str(count)])) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["0.9487  dog", "0.0000  loud"][:count]
    assert [line.split()[1] for line in lines] == [word for word, _ in nearest_words(vectors, "cat", count or 10)]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--nearest", "cow"), "no vector for the word (looked for 'cow')"),
        (("--nearest", "cat", "--count", "0"), "count: expected a whole number from 1, got 0"),
    ],
)
def test_usage_errors_with_word_vectors(
    vectors: Path, words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("embedding", str(vectors), *words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert message in err


def test_an_output_that_cannot_hold_the_text() -> None:
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    message = subprocess.run(
        [sys.executable, "-m", "gatewise", "explain", "lstm"], env=environment, capture_output=True, text=True
    )
    assert message.returncode == 2
    assert message.stdout == ""
    assert "requires UTF-8" in message.stderr
    assert "PYTHONIOENCODING=utf-8" in message.stderr


def test_is_a_plain_function(capsys: pytest.CaptureFixture[str]) -> None:
    explain("gates")
    assert capsys.readouterr().out == page("gates") + "\n"
