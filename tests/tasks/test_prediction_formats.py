"""How answers are written: what any reader of CSV, JSON lines and Parquet reads of them, and which names say which."""

import csv
import io
import json
import tracemalloc
from pathlib import Path

import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from gatewise.tasks import prediction_formats
from gatewise.tasks.prediction_formats import ROW_FORMATS, as_csv, as_jsonl, as_parquet, format_of, written

CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)


@given(st.lists(st.tuples(CELLS, CELLS, st.dictionaries(st.sampled_from("xyz"), CELLS)), min_size=1, max_size=5))
def test_any_cells_come_back(rows):
    found = [{"a": one, "b": [other], "c": {"x": "", "y": "", **more, "z": ""}} for one, other, more in rows]
    read = list(csv.DictReader(io.StringIO("".join(as_csv(found)), newline="")))
    expected = [{"a": row["a"], "b_1": row["b"][0], **{f"c_{name}": row["c"][name] for name in "xyz"}} for row in found]
    assert read == expected
    assert [json.loads(line) for line in as_jsonl(found)] == found


def test_no_cell_is_json_and_columns_never_shift():
    rows = [{"a": [{"b": 1, "c": None}, {"b": 2, "c": 3}], "d": {"e": [4]}}]
    assert "".join(as_csv(rows)) == "a_1_b,a_1_c,a_2_b,a_2_c,d_e_1\n1,,2,3,4\n"
    with pytest.raises(RuntimeError, match="rows of different columns: a_1 and a_1, a_2"):
        list(as_csv([{"a": [1]}, {"a": [1, 2]}]))
    with pytest.raises(ValueError, match="format: expected jsonl, csv or parquet for this model, got xml"):
        written(rows, "xml")


def read_parquet(rows):
    return parquet.read_table(io.BytesIO(b"".join(as_parquet(rows)))).to_pylist()


NUMBERS = st.one_of(st.none(), st.floats(allow_nan=False))
TOKENS = st.lists(st.fixed_dictionaries({"token": CELLS, "probability": NUMBERS}), max_size=3)


@given(st.lists(st.fixed_dictionaries({"label": st.one_of(st.none(), CELLS), "p": NUMBERS, "top": TOKENS}), max_size=9))
def test_parquet_has_the_rows_of_json_lines_whatever_the_first_ones_lack(rows):
    group = prediction_formats._GROUP
    try:
        prediction_formats._GROUP = 2  # types are those of all groups together
        assert read_parquet(rows) == rows
    finally:
        prediction_formats._GROUP = group
    assert list(as_parquet(rows))[: len(rows)] == [b""] * len(rows)  # progress counts them


def test_parquet_is_written_with_one_group_in_memory(monkeypatch):
    monkeypatch.setattr(prediction_formats, "_GROUP", 500)
    usual, peaks = pyarrow.default_memory_pool(), []
    for groups in (4, 16):
        rows = ({"text": f"{number}" * 500, "p": 0.5 if number > 900 else None} for number in range(500 * groups))
        pool = pyarrow.proxy_memory_pool(usual)
        pyarrow.set_memory_pool(pool)
        tracemalloc.start()
        try:
            assert sum(map(len, as_parquet(rows))) > 0
            peaks.append(pool.max_memory() + tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
            pyarrow.set_memory_pool(usual)
    assert peaks[1] < 1.5 * peaks[0]


def test_types_are_kept():
    row = {"text": "007", "p": 1.0, "n": 3, "of": {"a": 0.5}}
    schema = parquet.read_schema(io.BytesIO(b"".join(as_parquet([row]))))
    expected = [pyarrow.string(), pyarrow.float64(), pyarrow.int64(), pyarrow.struct({"a": pyarrow.float64()})]
    assert [schema.field(name).type for name in row] == expected


def test_the_name_of_a_file_says_its_format():
    formats = {**ROW_FORMATS, "text": (".txt",)}
    for name, format in (("a.jsonl", "jsonl"), ("a.b.CSV", "csv"), ("a.parquet", "parquet"), ("a.txt", "text")):
        assert format_of(Path(name), formats) == format
        assert format_of(Path(name), formats, format) == format
    assert format_of(Path("/dev/stdout"), formats, "csv") == "csv"
    for name in ("a.xlsx", "csv", "a.csv.gz"):
        with pytest.raises(
            ValueError, match=f"--out {name}: .* one of .jsonl, .csv, .parquet, .txt, got '{name}'; ren"
        ):
            format_of(Path(name), formats)
    with pytest.raises(ValueError, match=r"--out a\.txt: expected"):
        format_of(Path("a.txt"), ROW_FORMATS)
    with pytest.raises(ValueError, match=r"--out a\.csv: the name says csv, and --format says jsonl; change one"):
        format_of(Path("a.csv"), formats, "jsonl")
