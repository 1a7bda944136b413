"""How answers are written: what any CSV reader reads of them, and texts without a word."""

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewise.tasks.answers import answer_texts, as_csv, as_jsonl, read_lines, written

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
    with pytest.raises(ValueError, match="format: expected jsonl or csv for this model, got xml"):
        written(rows, "xml")


def test_answers_stay_aligned_with_lines(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"one\r\n\r\n \ntwo\n\n")
    lines = list(read_lines([tmp_path / "a.txt"]))
    assert lines == ["one", "", " ", "two", ""]
    asked: list[str] = []

    def answer(texts):
        asked.extend(texts)
        return [text.upper() for text in texts]

    assert answer_texts(lines, answer) == ["ONE", None, None, "TWO", None]
    assert asked == ["one", "two"]
