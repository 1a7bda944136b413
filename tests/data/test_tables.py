"""Tables in files."""

import bz2
import gzip
import json
import lzma
import re

import pytest

from gatewise.data.tables import column_names, read_columns

ROWS = [('a, "b"\nc', "x"), ("ü", "y")]
CSV = 'label,id,text\nx,1,"a, ""b""\nc"\ny,2,ü\n'
JSONL = "".join(json.dumps({"id": 1, "text": text, "label": label}) + "\n" for text, label in ROWS)


def write(folder, name, text):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_csv_and_json_lines_by_name(tmp_path):
    for path in (write(tmp_path, "a.csv", CSV), write(tmp_path, "a.jsonl", JSONL)):
        assert read_columns(path, ("text", "label")) == ROWS
        assert set(column_names(path)) == {"label", "id", "text"}


def test_tsv_takes_quotes_as_they_are(tmp_path):
    path = write(tmp_path, "a.tsv", 'text\tlabel\n"a\tx\nb" c\ty\n')
    assert read_columns(path, ("text", "label")) == [('"a', "x"), ('b" c', "y")]


def test_columns_by_number_have_no_line_of_names(tmp_path):
    path = write(tmp_path, "a.tsv", "x\tone\ny\ttwo\n")
    assert read_columns(path, ("2", "1")) == [("one", "x"), ("two", "y")]


def test_parquet(tmp_path):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "a.parquet"
    texts, labels = zip(*ROWS, strict=True)
    parquet.write_table(arrow.table({"text": texts, "label": labels, "n": [1, 2]}), path)
    assert read_columns(path, ("text", "label", "n")) == [(*ROWS[0], "1"), (*ROWS[1], "2")]
    with pytest.raises(ValueError, match="no column 'words'; its first line names 'text', 'label', 'n'"):
        read_columns(path, ("words",))
    parquet.write_table(arrow.table({"text": ["a", None]}), path)
    with pytest.raises(ValueError, match="row 2: no 'text'"):
        read_columns(path, ("text",))
    path.write_bytes(b"PAR1 not")
    with pytest.raises(ValueError, match="not Parquet, or a corrupt file"):
        read_columns(path, ("text",))


@pytest.mark.parametrize(("ending", "compress"), [("gz", gzip.compress), ("xz", lzma.compress), ("bz2", bz2.compress)])
def test_compressed(tmp_path, ending, compress):
    path = tmp_path / f"a.csv.{ending}"
    path.write_bytes(compress(CSV.encode()))
    assert read_columns(path, ("text", "label")) == ROWS
    path.write_bytes(compress(CSV.encode() * 99)[:-9])
    with pytest.raises(ValueError, match=f"not a .{ending} file, or a corrupt one"):
        read_columns(path, ("text", "label"))


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.txt", "x", "expected a name ending in .csv, .tsv, .jsonl, .parquet, got 'a.txt'"),
        ("a.csv", "", "there are no rows in it"),
        ("a.csv", "text,label\n", "there are no rows in it"),
        ("a.csv", "words,label\na,b\n", "no column 'text'; its first line names 'words', 'label'"),
        ("a.csv", "text,label\na,b\n\nc\n", "line 4: expected at least 2 columns, got 1"),
        ("a.csv", 'text,label\n"a" b,c\n', "line 2: not CSV: "),
        ("a.jsonl", '{"text": "a", "label": "b"}\n{', "line 2: not JSON: "),
        ("a.jsonl", "[1]", "line 1: expected a JSON object, got list"),
        ("a.jsonl", '{"text": "a"}', "line 1: no 'label'; the object has 'text'"),
    ],
)
def test_malformed(tmp_path, name, text, told):
    path = write(tmp_path, name, text)
    with pytest.raises(ValueError, match=re.escape(f"{path}: {told}")):
        read_columns(path, ("text", "label"))
