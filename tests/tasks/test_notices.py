"""In a training run its data is read once, and every notice about it appears once."""

import pytest

import gatewise
from tests.tasks.forecasting import small as series
from tests.tasks.small_sequences import (
    SMALL,
    labelled_texts,
    small_tokens,
    tagged_words,
)

EPOCH = {**SMALL, "epochs": 1}


def commented(folder):
    path = tagged_words(folder)
    path.write_text("# id 1\n" + path.read_text())
    return path


def twice(folder):
    """A series with a repeated row."""
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
def test_a_notice_about_the_data_appears_once(tmp_path, capsys, task):
    data, options, notice = RUNS[task]
    path = data(tmp_path)
    gatewise.train(task, data=path, out=tmp_path / "run", **options)
    lines = [line for line in capsys.readouterr().err.splitlines() if notice in line]
    assert lines
    assert len(lines) == len(set(lines))
