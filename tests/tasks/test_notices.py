"""In a training run every notice about the data stands once: its files are read once."""

import json
from pathlib import Path

import pytest

import gatewise
from tests.tasks.forecasting import small as series
from tests.tasks.small_sequences import (
    SMALL,
    labelled_texts,
    reversed_words,
    small_tokens,
    tagged_words,
)

EPOCH = {**SMALL, "epochs": 1}


def commented(folder):
    path = tagged_words(folder)
    path.write_text("# id 1\n" + path.read_text())
    return path


def twice(folder):
    """A series with a row that stands there twice."""
    path = series.one_series(folder)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:5], lines[4], *lines[5:]]))
    return path


RUNS = {
    "tag": (commented, {**EPOCH, **small_tokens()}, "skipped 1 comment line"),
    "classify": (labelled_texts, {**EPOCH, **small_tokens(), "longest": 4}, "have more than 4 tokens"),
    "forecast": (twice, {**series.SMALL, "epochs": 1}, "rows that stood there twice were read once"),
}


@pytest.mark.parametrize("task", RUNS)
def test_a_notice_about_the_data_stands_once(tmp_path, capsys, task):
    data, options, notice = RUNS[task]
    path = data(tmp_path)
    gatewise.train(task, data=path, out=tmp_path / "run", **options)
    lines = [line for line in capsys.readouterr().err.splitlines() if notice in line]
    assert lines
    assert len(lines) == len(set(lines))


def files_read(monkeypatch, folder):
    """How often each file of a folder is read."""
    counts = {}
    open_file = Path.open

    def counted(path, *arguments, **options):
        if path.parent == folder:
            counts[path.name] = counts.get(path.name, 0) + 1
        return open_file(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", counted)
    return counts


@pytest.mark.parametrize(
    ("task", "data", "options", "reads"),
    [
        ("lm", None, {"hidden": 8, "embedding": 4, "epochs": 1, "batch": 4, "window": 20}, 1),
        ("seq2seq", reversed_words, {**EPOCH, "embedding_size": 6, "batch": 64, "unit": "word"}, 2),  # names, then rows
        ("classify", labelled_texts, {**EPOCH, **small_tokens()}, 1),
        ("tag", tagged_words, {**EPOCH, **small_tokens()}, 1),
    ],
)
def test_training_reads_no_file_again_for_the_final_scores(tmp_path, monkeypatch, task, data, options, reads):
    if data is None:
        path = tmp_path / "text.txt"
        path.write_text("the quick brown fox jumps\n" * 40)
    else:
        path = data(tmp_path)
    counts = files_read(monkeypatch, tmp_path)
    trained = gatewise.train(task, data=path, out=tmp_path / "run", **options)
    assert counts == {path.name: reads}
    assert json.loads(trained.folder.scores.read_text())["scores"] == trained.evaluate()
