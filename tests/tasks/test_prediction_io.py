"""What is read for prediction, and texts without a word."""

import io
import sys
from itertools import islice
from types import SimpleNamespace

import pytest

from gatewise.data import arrow_csv, arrow_json, text
from gatewise.data.text import text_chunks
from gatewise.tasks.prediction_io import predict_texts, read_lines, read_texts


def test_answers_stay_aligned_with_lines(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"one\r\n\r\n \ntwo\n\n")
    lines = list(read_lines([tmp_path / "a.txt"]))
    assert lines == ["one", "", " ", "two", ""]
    asked: list[str] = []

    def answer(texts):
        asked.extend(texts)
        return [text.upper() for text in texts]

    assert predict_texts(lines, answer) == ["ONE", None, None, "TWO", None]
    assert asked == ["one", "two"]


def test_lines_are_read_one_after_another(tmp_path, monkeypatch):
    # An endless input: reading all of it first would never answer.
    class Endless:
        def __iter__(self):
            yield "\ufeffone\r\n".encode()
            while True:
                yield b"more\n"

    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=Endless()))
    assert list(islice(read_lines(()), 3)) == ["one", "more", "more"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"one\ntw\xff\n", r"standard input: line 2: not UTF-8: byte 0xff at offset 6; convert"),
        (b"one\n\0\n", r"standard input: line 2: a NUL byte at offset 4, which text"),
    ],
)
def test_malformed_lines_of_the_standard_input(monkeypatch, content, message):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))
    with pytest.raises(ValueError, match=message):
        list(read_lines(()))


@pytest.mark.parametrize("ending", ["csv", "jsonl", "txt"])
def test_files_are_read_part_by_part(tmp_path, monkeypatch, ending):
    monkeypatch.setattr(text, "CHUNK", 1 << 10)
    monkeypatch.setattr(text_chunks, "__defaults__", (1 << 10,))
    for module in (arrow_csv, arrow_json):
        monkeypatch.setattr(module, "_BLOCK", 1 << 10)
    rows = [f"word {number}" for number in range(20_000)]
    line = {"csv": "{}\n", "jsonl": '{{"text": "{}"}}\n', "txt": "{}\n"}[ending]
    path = tmp_path / f"a.{ending}"
    path.write_text("text\n" * (ending == "csv") + "".join(map(line.format, rows)))
    assert list(read_texts([path], "text")) == rows
    with path.open("ab") as file:
        file.write(b"\xff\n")
    found = read_texts([path], "text")
    assert next(found) == "word 0"  # what is wrong at the end has not been read yet
    with pytest.raises(ValueError, match="not UTF-8"):
        list(found)
