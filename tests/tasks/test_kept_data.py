"""Training, scoring and predicting on tables in memory: as on files, with a copy in the run folder."""

import csv
import json
import shutil

import pandas
import pyarrow
import pytest

import gatewise
from gatewise.tasks import state_file
from gatewise.tasks.api import resume
from tests.tasks.small import TEXT
from tests.tasks.small_sequences import (
    SMALL,
    SMALL_TOKENS,
    labelled_texts,
    numeric_sequences,
    reversed_words,
    tagged_words,
)

LM = {"hidden": 8, "embedding": 4, "epochs": 1, "batch": 4, "window": 50}


def texts(folder):
    path = labelled_texts(folder)
    with path.open(newline="") as file:
        return path, list(csv.DictReader(file)), {**SMALL, **SMALL_TOKENS}


def sentences(folder):
    path = tagged_words(folder)
    rows = [[line.split() for line in part.split("\n")] for part in path.read_text().strip().split("\n\n")]
    tables = [{"tokens": [word for word, _ in row], "tags": [tag for _, tag in row]} for row in rows]
    return path, tables, {**SMALL, **SMALL_TOKENS}


def pairs(folder):
    path = reversed_words(folder)
    rows = [line.split("\t") for line in path.read_text().splitlines()]
    options = {"hidden": 8, "epochs": 1, "unit": "word", "embedding_size": 8, "batch": 60}
    return path, [{"source": source, "target": target} for source, target in rows], options


def numbers(folder):
    path = numeric_sequences(folder, "sequence")
    return path, [json.loads(line) for line in path.read_text().splitlines()], SMALL


def running_text(folder):
    path = folder / "text.txt"
    path.write_text(TEXT + "\n")
    return path, [{"text": line} for line in TEXT.split("\n")], LM


@pytest.mark.parametrize(
    ("task", "make"),
    [("classify", texts), ("tag", sentences), ("seq2seq", pairs), ("numeric", numbers), ("lm", running_text)],
)
def test_a_table_in_memory_trains_the_same_and_stays_in_the_run_folder(tmp_path, task, make):
    path, rows, options = make(tmp_path)
    of_file = gatewise.train(task, data=path, out=tmp_path / "file", **options)
    of_table = gatewise.train(task, data=pyarrow.Table.from_pylist(rows), valid=rows, out=tmp_path / "table", **options)
    assert "valid" in of_table.final_scores()
    of_table = gatewise.train(task, data=rows, out=tmp_path / "rows", **options)
    assert of_table.final_scores() == of_file.final_scores()
    shutil.move(tmp_path / "rows", tmp_path / "moved")
    moved = gatewise.load(tmp_path / "moved", task)
    assert moved.evaluate() == of_file.final_scores()
    assert moved.evaluate(pandas.DataFrame(rows)) == of_file.evaluate(path)
    if task != "lm":
        column = {"classify": "text", "tag": "tokens", "seq2seq": "source", "numeric": "steps"}[task]
        assert moved.predict(rows) == of_file.predict([row[column] for row in rows])  # pyright: ignore
    reports = [tmp_path / "of_rows.html", tmp_path / "of_file.html"]
    found, expected = (
        gatewise.inspect(tmp_path / "moved", data=data, steps=9, out=out)
        for data, out in zip((pandas.DataFrame(rows), path), reports, strict=True)
    )
    assert found.rows() == expected.rows()
    assert all(report.stat().st_size > 1000 for report in reports)


def test_a_run_on_a_table_continues_where_it_stopped(tmp_path, monkeypatch):
    _, rows, options = texts(tmp_path)
    options = {**options, "schedule": "constant"}
    whole = gatewise.train("classify", data=rows, out=tmp_path / "whole", **options)
    monkeypatch.setattr(state_file, "SAVE_EVERY_SECONDS", 0.0)
    gatewise.train("classify", data=rows, out=tmp_path / "run", max_minutes=1e-4, **options)
    resumed = resume(tmp_path / "run", max_minutes=10)
    assert resumed.final_scores() == whole.final_scores()
    (tmp_path / "run" / "data-1-data.parquet").unlink()
    with pytest.raises(FileNotFoundError, match=r"data-1-data\.parquet"):
        gatewise.evaluate(tmp_path / "run")


def test_files_are_kept_where_that_is_asked_for(tmp_path):
    path, _, options = texts(tmp_path)
    gatewise.train("classify", data=[path, path], keep_data=True, out=tmp_path / "run", **options)
    path.unlink()
    run = gatewise.load(tmp_path / "run")
    assert [kept.name for kept in run.options.data] == ["data-1-texts.csv", "data-2-texts.csv"]
    assert run.evaluate() == run.final_scores()
    with pytest.raises(ValueError, match=r"keep_data: expected files of data, got .*which is none"):
        gatewise.train("classify", data=tmp_path, keep_data=True, out=tmp_path / "more", **options)


def test_errors_name_the_table_and_the_row_and_leave_nothing(tmp_path):
    _, rows, options = texts(tmp_path)
    trained = gatewise.train("classify", data=rows, out=tmp_path / "trained", **options)
    with pytest.raises(ValueError, match=r"^data: row 1: 'text': expected text, got 3$"):
        gatewise.inspect(trained.folder.path, data=[{"text": 3}])
    with pytest.raises(ValueError, match=r"^valid: row 2: 'text' is null; expected a value$"):
        gatewise.train("classify", data=rows, valid=[rows[0], {"label": "good"}], out=tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()
    with pytest.raises(TypeError, match="data: expected paths of files, got 3"):
        gatewise.train("classify", data=3, out=tmp_path / "run", **options)
