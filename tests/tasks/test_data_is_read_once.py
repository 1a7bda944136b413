"""Training reads its data once, from every entry; of a table the beginning may be read before, once, for its head."""

import json
import os
from pathlib import Path

import pytest

import gatewise
from gatewise.data import text as data_text
from gatewise.tasks.task import task_of
from tests.cli.command_line import leave
from tests.tasks.forecasting import small as series
from tests.tasks.small_sequences import (
    SMALL,
    labelled_texts,
    numeric_sequences,
    reversed_words,
    small_tokens,
    tagged_words,
)

EPOCH = {**SMALL, "epochs": 1}
CHUNK = 256


def words(folder):
    path = folder / "text.txt"
    path.write_text("the quick brown fox jumps\n" * 80)
    return path


def rows_of_steps(folder, ending):
    """A row for each step, whose features have no names in the options."""
    rows = [(f"s{row // 4}", "up" if row % 8 < 4 else "down", row % 7, row % 5) for row in range(400)]
    names = ("sequence", "label", "x", "y")
    path = folder / f"rows{ending}"
    if ending == ".csv":
        path.write_text("".join(",".join(map(str, row)) + "\n" for row in (names, *rows)))
    else:
        path.write_text("".join(json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in rows))
    return path


def pairs(folder):
    path = folder / "pairs.csv"
    path.write_text("source,target\n" + "".join(f"red {row % 3},{row % 3} red\n" for row in range(200)))
    return path


TASKS = {
    "lm": (words, {"hidden": 8, "embedding": 4, "epochs": 1, "batch": 4, "window": 20}),
    "classify": (labelled_texts, {**EPOCH, **small_tokens()}),
    "tag": (tagged_words, {**EPOCH, **small_tokens()}),
    "seq2seq": (reversed_words, {**EPOCH, "embedding_size": 6, "batch": 64, "unit": "word"}),
    "seq2seq pairs.csv": (pairs, {**EPOCH, "embedding_size": 6, "batch": 64, "unit": "word"}),
    "numeric": (lambda folder: numeric_sequences(folder, "sequence"), EPOCH),
    "numeric rows.csv": (lambda folder: rows_of_steps(folder, ".csv"), EPOCH),
    "numeric rows.jsonl": (lambda folder: rows_of_steps(folder, ".jsonl"), EPOCH),
    "forecast": (series.one_series, {**series.SMALL, "epochs": 1}),
}


class Counted:
    """A file that counts the bytes that are read of it."""

    def __init__(self, file, counts):
        self._file, self._counts = file, counts
        counts.append(0)
        self._index = len(counts) - 1

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._file.close()

    def read(self, *size):
        content = self._file.read(*size)
        self._counts[self._index] += len(content)
        return content

    def __getattr__(self, name):
        assert name not in ("readinto", "readline", "read1", "__iter__"), "count these too"
        return getattr(self._file, name)


@pytest.fixture
def bytes_read(monkeypatch):
    """Bytes read of a file, by opening; text is read in small chunks, so that what reads a beginning shows."""
    counts: dict[Path, list[int]] = {}
    open_file = Path.open

    def opened(path, *arguments, **options):
        file = open_file(path, *arguments, **options)
        return Counted(file, counts[path]) if path in counts else file

    monkeypatch.setattr(Path, "open", opened)
    monkeypatch.setattr(data_text.text_chunks, "__defaults__", (CHUNK,))
    return counts


def check_read_once(counts, size):
    assert max(counts) == size
    beginnings = sorted(counts)[:-1]
    assert len(beginnings) <= 1, f"{size} bytes, read by opening: {counts}"
    assert all(count <= 2 * CHUNK for count in beginnings), f"{size} bytes, read by opening: {counts}"


@pytest.mark.parametrize("case", TASKS)
def test_from_python_and_of_a_resumed_run(tmp_path, bytes_read, case):
    make, options = TASKS[case]
    task = case.partition(" ")[0]
    path = make(tmp_path)
    os.utime(path, (1, 1))  # of a file that has just been written, heads are not remembered
    size = path.stat().st_size
    assert size > 5 * CHUNK
    counts = bytes_read[path] = []
    trained = gatewise.train(task, data=path, out=tmp_path / "run", **options)
    check_read_once(counts, size)
    counts.clear()
    task_of(task).prepare(trained.options, trained.folder)  # as `resume` does
    check_read_once(counts, size)
    bytes_read.clear()
    assert json.loads(trained.folder.scores.read_text())["scores"] == trained.evaluate()


@pytest.mark.parametrize("config", [False, True], ids=["options", "TOML"])
def test_from_the_command_line(tmp_path, bytes_read, config):
    path = words(tmp_path)
    options = {**TASKS["lm"][1], "data": str(path)}
    if config:
        (tmp_path / "options.toml").write_text(
            "".join(f"{name} = {json.dumps(one)}\n" for name, one in options.items())
        )
        arguments = ["--config", tmp_path / "options.toml"]
    else:
        arguments = [word for name, one in options.items() for word in (f"--{name}", one)]
    counts = bytes_read[path] = []
    assert leave("train", "lm", *arguments, "--out", tmp_path / "run") == 0
    check_read_once(counts, path.stat().st_size)
    counts.clear()
    config = (tmp_path / "run" / "config.toml").read_text()
    (tmp_path / "run" / "config.toml").write_text(config.replace("epochs = 1\n", "epochs = 2\n"))
    (tmp_path / "run" / "scores.json").unlink()
    assert leave("train", "lm", "--resume", tmp_path / "run") == 0
    check_read_once(counts, path.stat().st_size)
