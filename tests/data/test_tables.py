"""Tables in files."""

import bz2
import gzip
import json
import lzma
import math
import os
from decimal import Decimal

import numpy as np
import pytest

from gatewise.data.tables import column_names, read_columns, table_rows

ROWS = [('a, "b"\nc', "x"), ("ü", "y")]
CSV = 'label,id,text\nx,1,"a, ""b""\nc"\ny,2,ü\n'
JSONL = "".join(json.dumps({"id": 1, "text": text, "label": label}) + "\n" for text, label in ROWS)


def write(folder, name, text):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def cells(path, columns, **options):
    """The rows of a table, which are the same where they are read one after another."""
    rows = read_columns(path, columns, **options)
    if options.keys() <= {"texts", "format"}:
        found = [(location(), cells) for location, cells in table_rows(path, columns, **options)]
        assert found == [(rows.full_location(row), cells) for row, cells in enumerate(rows)]
    return list(rows)


def test_csv_and_json_lines_by_name(tmp_path):
    for path in (write(tmp_path, "a.csv", CSV), write(tmp_path, "a.jsonl", JSONL)):
        assert cells(path, ("text", "label")) == ROWS
        assert set(column_names(path)) == {"label", "id", "text"}


def test_tsv_takes_quotes_as_they_are(tmp_path):
    path = write(tmp_path, "a.tsv", 'text\tlabel\n"a\tx\nb" c\ty\n')
    assert cells(path, ("text", "label")) == [('"a', "x"), ('b" c', "y")]


def test_columns_by_number_have_no_line_of_names(tmp_path):
    path = write(tmp_path, "a.tsv", "x\tone\ny\ttwo\n")
    assert cells(path, ("2", "1")) == [("one", "x"), ("two", "y")]


def test_parquet(tmp_path):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "a.parquet"
    texts, labels = zip(*ROWS, strict=True)
    parquet.write_table(arrow.table({"text": texts, "label": labels, "n": [1, 2]}), path)
    assert cells(path, ("text", "label", "n")) == [(*ROWS[0], "1"), (*ROWS[1], "2")]
    with pytest.raises(ValueError, match="no column 'words'; its first line names 'text', 'label', 'n'"):
        read_columns(path, ("words",))
    parquet.write_table(arrow.table({"text": ["a", None]}), path)
    with pytest.raises(ValueError, match="row 2: 'text' is null"):
        read_columns(path, ("text",))
    path.write_bytes(b"PAR1 not")
    with pytest.raises(ValueError, match="not Parquet, or a corrupt file"):
        read_columns(path, ("text",))


@pytest.mark.parametrize(("ending", "compress"), [("gz", gzip.compress), ("xz", lzma.compress), ("bz2", bz2.compress)])
def test_compressed(tmp_path, ending, compress):
    path = tmp_path / f"a.csv.{ending}"
    path.write_bytes(compress(CSV.encode()))
    assert cells(path, ("text", "label")) == ROWS
    path.write_bytes(compress(CSV.encode() * 99)[:-9])
    with pytest.raises(ValueError, match=f"not a .{ending} file, or a corrupt one"):
        read_columns(path, ("text", "label"))


def test_arrow_files_and_streams(tmp_path):
    arrow, feather = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.feather")
    table = arrow.table({"text": ["007", "NA"], "n": [1, 2]})
    feather.write_feather(table, tmp_path / "a.feather", compression="lz4")
    with arrow.ipc.new_file(tmp_path / "a.arrow", table.schema) as writer:
        writer.write_table(table)
    with arrow.ipc.new_stream(tmp_path / "b.arrow", table.schema) as writer:
        writer.write_table(table)
    for name in ("a.feather", "a.arrow", "b.arrow"):
        rows = read_columns(tmp_path / name, ("n", "text"))
        assert list(rows) == [("1", "007"), ("2", "NA")]
        assert rows.full_location(1) == f"{tmp_path / name}: row 2"
    with pytest.raises(ValueError, match=r"b\.arrow: no column 'label'; its first line names 'text', 'n'"):
        read_columns(tmp_path / "b.arrow", ("label",))
    for content in (b"", b"ARROW1", b"plain text", (tmp_path / "b.arrow").read_bytes()[:200]):
        (tmp_path / "c.arrow").write_bytes(content)
        with pytest.raises(
            ValueError, match=r"c\.arrow: .*(not Arrow, or a corrupt file|a corrupt Arrow file|no rows)"
        ):
            read_columns(tmp_path / "c.arrow", ("text",))


def test_numbers_that_a_file_holds_stay_numbers_where_that_is_asked_for(tmp_path):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    values = [0.1 + 0.2, None, float("nan")]
    columns = {"n": [1, 2**60 + 1, -3], "v": values, "single": arrow.array([0.1] * 3, "float32"), "flag": [True] * 3}
    columns["price"] = arrow.array([Decimal("0.10"), Decimal("7.25"), Decimal(0)])
    parquet.write_table(arrow.table(columns), tmp_path / "a.parquet")
    rows = read_columns(tmp_path / "a.parquet", list(columns), blanks=True, numbers=list(columns))
    single = float(np.float32(0.1))
    assert list(rows) == [
        (1.0, 0.1 + 0.2, single, "true", 0.1),
        (float(2**60), "", single, "true", 7.25),
        (-3.0, "", single, "true", 0.0),
    ]
    (tmp_path / "a.jsonl").write_text('{"n": 7, "v": "7", "w": 1e999}\n')
    assert list(read_columns(tmp_path / "a.jsonl", ("n", "v", "w"), numbers=("n", "v", "w"))) == [(7.0, 7.0, math.inf)]
    (tmp_path / "a.jsonl").write_text(f'{{"n": 7, "v": "007", "w": -1{"0" * 400}}}\n')
    assert list(read_columns(tmp_path / "a.jsonl", ("n", "v", "w"), numbers=("v", "w"))) == [("7", 7.0, -math.inf)]


@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
@pytest.mark.parametrize("old", [False, True], ids=["written now", "written before"])
def test_the_head_of_a_changed_file_is_read_again(tmp_path, ending, old):
    path = tmp_path / f"table{ending}"
    for name in ("one", "two"):
        path.write_text(f"{name}\n1\n" if ending == ".csv" else f'{{"{name}": 1}}\n')
        if old:
            os.utime(path, (1, 1 if name == "one" else 2))
        assert column_names(path) == [name]
        assert list(read_columns(path, [name])) == [("1",)]
