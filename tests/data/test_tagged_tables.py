"""Sentences in the rows of JSON lines and Parquet."""

import json

import pyarrow
import pytest
from pyarrow import parquet

from gatewise.data.columns import Columns, has_columns

ROWS = [
    {"tokens": ["New", "York"], "tags": ["B-LOC", "I-LOC"]},
    {"tokens": [], "tags": []},
    {"tokens": ["NA"], "tags": [0]},
]


def read(path, **columns):
    return list(Columns(**columns).tagged_words([path]))


def test_both_formats(tmp_path):
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    table = pyarrow.table({"tokens": [row["tokens"] for row in ROWS], "tags": [["B-LOC", "I-LOC"], [], ["0"]]})
    parquet.write_table(table, tmp_path / "a.parquet")
    parquet.write_table(table.rename_columns(["words", "ner"]), tmp_path / "b.parquet")
    expected = [(["New", "York"], ["B-LOC", "I-LOC"]), (["NA"], ["0"])]
    assert read(tmp_path / "a.jsonl") == read(tmp_path / "a.parquet") == expected
    assert read(tmp_path / "b.parquet", word="words", tag="ner") == expected
    assert has_columns(tmp_path / "a.parquet")
    # Answers stay beside their rows.
    assert list(Columns().read_words(tmp_path / "a.parquet")) == [["New", "York"], [], ["NA"]]
    assert list(Columns().locations_of_tags([tmp_path / "a.parquet"]))[2] == (f"{tmp_path / 'a.parquet'}: row 3", "0")


def test_further_columns_are_lists_too(tmp_path):
    row = {"tokens": ["a", "b"], "tags": ["O", "O"], "pos": ["DT", "NN"]}
    (tmp_path / "a.jsonl").write_text(json.dumps(row) + "\n")
    assert read(tmp_path / "a.jsonl", features=("pos",)) == [([("a", "DT"), ("b", "NN")], ["O", "O"])]
    assert list(Columns(features=("pos",)).read_words(tmp_path / "a.jsonl")) == [[("a", "DT"), ("b", "NN")]]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"tokens": ["a", "b"], "tags": ["O"]}, "line 1: expected as many tags as tokens, 2, got 1"),
        ({"tokens": "a b", "tags": ["O"]}, "line 1: 'tokens': expected a list of text, got 'a b'"),
        ({"tokens": ["a", ""], "tags": ["O", "O"]}, "line 1: 'tokens': item 2 is empty; expected a word or tag"),
        ({"tokens": [None], "tags": ["O"]}, "line 1: 'tokens' is null; expected a value"),
        ({"tokens": ["a"], "labels": ["O"]}, "no 'tags'; the object has 'tokens', 'labels'"),
        ({"tokens": [], "tags": []}, "there are no words in it; expected a list of them in each row"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, row, message):
    (tmp_path / "a.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(ValueError, match=message):
        read(tmp_path / "a.jsonl")
