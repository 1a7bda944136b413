"""``gatewise train classify``, ``tag`` and ``numeric``, and what follows them, as a user types them."""

import io
import json
import re
import shlex
import sys

import pytest

import gatewise
from gatewise import cli
from tests.tasks.small_sequences import labelled_texts, numeric_sequences, tagged_words

SMALL = ["--hidden", "8", "--epochs", "12", "--batch", "8", "--lr", "0.02", "--dropout", "0.1"]
SMALL_TOKENS = ["--embedding-size", "6", "--character-embedding", "4", "--spelling-size", "6"]


def leave(*arguments):
    with pytest.raises(SystemExit) as raised:
        cli.main([str(argument) for argument in arguments])
    return raised.value.code


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tasks")
    texts, words, numbers = labelled_texts(folder), tagged_words(folder), numeric_sequences(folder, "sequence")
    assert leave("train", "classify", "--data", texts, "--out", folder / "classify", *SMALL, *SMALL_TOKENS) == 0
    tag = ["--data", words, "--output", "crf", "--no-lower", "--out", folder / "tag"]
    assert leave("train", "tag", *tag, *SMALL, *SMALL_TOKENS) == 0
    assert leave("train", "numeric", "--data", numbers, "--out", folder / "numeric", *SMALL) == 0
    return folder


@pytest.mark.parametrize("task", ["classify", "tag", "numeric"])
def test_a_run_ends_with_a_table_and_what_to_try(tmp_path, capsys, task):
    make = {"classify": labelled_texts, "tag": tagged_words, "numeric": lambda at: numeric_sequences(at, "sequence")}
    assert leave("train", task, "--data", make[task](tmp_path), "--out", tmp_path / "run", "--epochs", "1") == 0
    out = capsys.readouterr().out
    assert out.startswith("text ")
    assert "baseline accuracy" in out
    commands = [line for line in out.splitlines() if line.startswith("  gatewise ")]
    assert len(commands) == 3
    for line in commands:
        cli.build_app().parse_args(shlex.split(line)[1:], exit_on_error=False, print_error=False)
    assert leave("train", task, "--resume", tmp_path / "run") == 0
    assert leave("train", "lm", "--resume", tmp_path / "run") == 2
    assert f"the run folder of another task ({task}), expected lm" in capsys.readouterr().err


@pytest.mark.parametrize("task", ["classify", "tag", "numeric"])
def test_evaluate(folder, capsys, task):
    assert leave("evaluate", folder / task, "--json") == 0
    assert json.loads(capsys.readouterr().out) == gatewise.evaluate(folder / task)


def test_predict_reads_the_standard_input(folder, capsys, monkeypatch):
    for task, text, expected in (
        ("classify", "lovely film\n", '"label": "good"'),
        ("tag", "to New York\n", "New\tB-LOC\nYork\tI-LOC\n"),
        ("numeric", '{"steps": [[10, 0], [11, 0], [12, 0]]}\n\n', '{"label": "up"'),
    ):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        assert leave("predict", folder / task) == 0
        assert expected in capsys.readouterr().out


def test_predict_reads_files_and_writes_one(folder, tmp_path):
    out = tmp_path / "labels.csv"
    assert leave("predict", folder / "classify", folder / "texts.csv", "--format", "csv", "--out", out) == 0
    assert out.read_text().startswith("text,label,probability\n")
    assert len(out.read_text().splitlines()) == 81
    assert leave("predict", folder / "numeric", folder / "sequence.jsonl", "--out", tmp_path / "a.jsonl") == 0
    assert json.loads((tmp_path / "a.jsonl").read_text().splitlines()[0])["label"] in ("up", "down")


def test_columns_of_features_are_named(tmp_path, capsys):
    rows = [f"{number},{step},{number % 2},7,{'ab'[number % 2]}" for number in range(20) for step in range(3)]
    (tmp_path / "a.csv").write_text("\n".join(["sequence,time,x,y,label", *rows]) + "\n")
    words = ["--feature-columns", "x", "y", "--out", tmp_path / "run", "--epochs", "1"]
    assert leave("train", "numeric", "--data", tmp_path / "a.csv", *words) == 0
    assert "features of a step: 2\n" in capsys.readouterr().err
    assert gatewise.load(tmp_path / "run").options.feature_columns == ("x", "y")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("train classify --data missing.csv", "missing.csv: No such file or directory"),
        ("train classify --data words.conll", "words.conll: expected a name ending in .csv, .tsv, .jsonl, .parquet"),
        ("train classify --data texts.csv --pooling median", "median"),
        ("train classify --data texts.csv --label-column kind", "no column 'kind'"),
        ("train tag --data missing.conll", "missing.conll: No such file or directory"),
        ("train tag --data texts.csv --tag-column 9", "line 1: expected at least 9 columns"),
        ("train numeric", "data: name a file to learn from"),
        ("train numeric --data texts.csv", "no column 'sequence'"),
        ("evaluate classify --data words.conll", "words.conll: expected a name ending in"),
        ("predict classify --prompt a", "prompt: is not for this model; a language model writes text"),
        ("predict classify texts.csv --format columns", "format: expected jsonl or csv for this model, got columns"),
        ("predict tag missing.txt", "missing.txt: No such file or directory"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(folder, monkeypatch, capsys, words, told):
    monkeypatch.chdir(folder)
    before = sorted(folder.rglob("*"))
    assert leave(*words.split()) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("gatewise: error: ")
    assert captured.err.count("\n") == 1
    assert told in captured.err
    assert sorted(folder.rglob("*")) == before


def test_inspect_says_which_words_moved_the_answer(folder, capsys):
    assert leave("inspect", folder / "classify", "--text", "it was a lovely film") == 0
    head, columns, *rows = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"answer: good, probability 0\.\d+", head)
    assert columns.split() == ["token", "moves", "it", "by"]
    word, value, bar = rows[3].split()
    assert (word, bar) == ("lovely", "+" * 20)
    assert float(value) > 0
    assert (folder / "classify" / "report.html").exists()


def test_inspect_tells_of_every_tag(folder, capsys):
    assert leave("inspect", folder / "tag", "--text", "to New York") == 0
    table = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert table[0] == ["token", "tag", "probability", "moved", "most", "by"]
    assert [row[:2] for row in table[1:4]] == [["to", "O"], ["New", "B-LOC"], ["York", "I-LOC"]]
    assert any(row[:2] == ["recurrent.l0_reverse:", "the"] for row in table[4:])
    assert leave("inspect", folder / "tag", "--text", "to New York", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["answer"] for one in found["answers"]] == ["O", "B-LOC", "I-LOC"]
    assert [token for token, _ in found["answers"][0]["moved_by"]] == ["to", "New", "York"]
    assert isinstance(found["findings"], list)


def test_inspect_says_what_it_cannot_watch(folder, capsys):
    assert leave("inspect", folder / "numeric", "--text", "New York") == 2
    assert "a model of numbers reads no text; inspect is for lm, classify and tag" in capsys.readouterr().err
