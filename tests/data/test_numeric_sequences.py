"""Sequences of numbers."""

import math
import re

import pyarrow
import pyarrow.parquet
import pytest

from gatewise.data import numeric_sequences, parquet
from gatewise.data.numeric_sequences import SequenceColumns, read_numeric_sequences

TABLE = "label,sequence,u,v\na,1,0.5,1\na,1,2,3\nb,2,4,-5e1\n"
FOUND = [([[0.5, 1.0], [2.0, 3.0]], ["a", "a"]), ([[4.0, -50.0]], ["b"])]


def read(folder, name, text, notice=lambda _: None, **columns):
    path = folder / name
    path.write_text(text)
    return plain([path], notice=notice, **columns)


def plain(paths, notice=lambda _: None, **columns):
    """The steps and labels of the sequences in files."""
    found = read_numeric_sequences(paths, SequenceColumns(**columns), notice).sequences()
    return [(sequence.steps.tolist(), sequence.labels) for sequence in found]


def test_a_row_for_each_step(tmp_path):
    assert read(tmp_path, "a.csv", TABLE) == FOUND
    assert read(tmp_path, "a.csv", TABLE, features=("v",))[1] == ([[-50.0]], ["b"])
    assert read(tmp_path, "b.csv", "sequence,u\n1,2\n1,3\n") == [([[2.0], [3.0]], [])]
    rows = '{"sequence": "s", "u": 1, "label": 7}\n{"sequence": "s", "u": 2.5, "label": 7}\n'
    assert read(tmp_path, "a.jsonl", rows) == [([[1.0], [2.5]], ["7", "7"])]


def test_a_line_for_each_sequence(tmp_path):
    lines = '{"steps": [[1, 2], [3, 4]], "label": "a"}\n\n{"steps": [[5, 6]], "label": ["b"]}\n{"steps": [[0, 0]]}\n'
    expected = [([[1, 2], [3, 4]], ["a"]), ([[5, 6]], ["b"]), ([[0, 0]], [])]
    assert read(tmp_path, "a.jsonl", lines) == expected


def test_a_nameless_column_that_numbers_the_rows_is_not_a_feature(tmp_path):
    # What `frame.to_csv("a.csv")` writes, and what reading and writing it again makes of it.
    for name in ("", "Unnamed: 0"):
        message = []
        text = "".join(
            f"{position},{line}\n" for position, line in zip([name, 0, 1, 2], TABLE.splitlines(), strict=True)
        )
        assert read(tmp_path, "a.csv", text, notice=message.append) == FOUND
        assert len(message) == 1
        assert "and numbers the rows; skipped" in message[0]
        with pytest.raises(ValueError, match=r"a\.csv: column 1 (has no name|is named 'Unnamed: 0'); expected a name"):
            read(tmp_path, "a.csv", text.replace("\n1,", "\n7,"))
        # What is named by the user is used, whatever else there is.
        assert read(tmp_path, "a.csv", text.replace("\n1,", "\n7,"), features=("u", "v")) == FOUND
    assert read(tmp_path, "a.csv", TABLE.replace("\n", ",,\n")) == FOUND  # empty columns of a spreadsheet
    pyarrow.parquet.write_table(
        pyarrow.table({"sequence": ["1", "2"], "u": [0.5, 4.0], "__index_level_0__": [1, 0]}), tmp_path / "a.parquet"
    )
    found = plain([tmp_path / "a.parquet"])
    assert found == [([[0.5]], []), ([[4.0]], [])]


def test_an_index_of_parquet_is_not_a_feature_whatever_it_holds(tmp_path):
    # Of some rows of a frame.
    columns = {"sequence": ["1", "2"], "u": [0.5, 4.0], "__index_level_0__": [3, 7]}
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet")
    message = []
    found = plain([tmp_path / "a.parquet"], notice=message.append)
    assert found == [([[0.5]], []), ([[4.0]], [])]
    assert message[0].endswith("column 3 is named '__index_level_0__', the index of a data frame; skipped")


def test_a_feature_that_numbers_the_rows_is_reported(tmp_path):
    message = []
    read(tmp_path, "a.csv", "index,sequence,u\n0,a,1\n1,a,2\n2,b,1\n", notice=message.append)
    assert [one.partition(": ")[2] for one in message] == [
        "feature 'index' numbers the rows of the file; exclude it with --feature-columns"
    ]
    # As a choice, in a single sequence, or beginning again in each, it is nothing to speak of.
    read(tmp_path, "a.csv", "index,sequence,u\n0,a,1\n1,b,2\n", notice=message.append, features=("index", "u"))
    read(tmp_path, "a.csv", "time,sequence,u\n0,a,1\n1,a,2\n", notice=message.append)
    read(tmp_path, "a.csv", "time,sequence,u\n0,a,1\n1,a,2\n0,b,1\n", notice=message.append)
    assert len(message) == 1


def test_files_must_have_the_same_features(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"steps": [[1]]}')
    (tmp_path / "b.jsonl").write_text('{"steps": [[1, 2]]}')
    with pytest.raises(
        ValueError, match=re.escape(f"b.jsonl: expected 1 features, as in {tmp_path / 'a.jsonl'}, got 2")
    ):
        plain([tmp_path / "a.jsonl", tmp_path / "b.jsonl"])


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "a.csv",
            "sequence,u\n1,x\n",
            "line 2: u: expected a finite number, got 'x'; name the features with --feature-columns, the",
        ),
        (
            "a.csv",
            "sequence,u\n1,nan\n",
            "line 2: u: expected a finite number, got ''; --missing mask reads missing values",
        ),
        ("a.csv", "sequence,u\n1,1\n2,1\n1,1\n", "the rows of sequence '1' are not consecutive; sort the table"),
        ("a.csv", "sequence,label\n1,1\n", "no column of features beside 'sequence' and 'label'"),
        ("a.csv", "u,label\n1,1\n", "no column 'sequence'"),
        ("a.jsonl", '{"steps": [[1], [2, 3]]}', "line 1: step 2: expected 1 features, as in line 1, got 2"),
        (
            "a.jsonl",
            '{"steps": [[1]]}\n{"steps": [[1, 2]]}',
            "line 2: step 1: expected 1 features, as in line 1, got 2",
        ),
        ("a.jsonl", "\n", "a.jsonl: there are no sequences in it"),
        ("a.jsonl", '{"steps": [[]]}', "line 1: a sequence without features"),
        ("a.jsonl", '{"steps": "12"}', 'line 1: expected {"steps": [[numbers of a step], ...]}'),
        ("a.jsonl", '{"steps": {"1": [2]}}', 'line 1: expected {"steps": [[numbers of a step], ...]}'),
        ("a.jsonl", '{"steps": []}', "line 1: a sequence without steps"),
        ("a.jsonl", '{"step": 1}', "line 1: expected {\"steps\": [[numbers of a step], ...]}, got {'step': 1}"),
        ("a.jsonl", '{"steps": [[true]]}', "line 1: expected a finite number, got True"),
        ("a.jsonl", f'{{"steps": [[1{"0" * 400}]]}}', "line 1: expected a finite number, got 1000"),
    ],
)
def test_malformed(tmp_path, name, text, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        read(tmp_path, name, text)


def test_nested_columns_of_parquet_hold_a_sequence_in_each_row(tmp_path):
    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(
        pyarrow.table({"steps": [[[0.1, 1.0], [2.0, 3.0]], [[4.0, 5.0]]], "label": ["a", "b"]}), path
    )
    found = plain([path])
    assert found == [([[0.1, 1.0], [2.0, 3.0]], ["a"]), ([[4.0, 5.0]], ["b"])]
    pyarrow.parquet.write_table(pyarrow.table({"steps": [[[0.1, 1.0]], [[4.0]]]}), path)
    with pytest.raises(ValueError, match="row 2: step 1: expected 2 features, as in row 1, got 1"):
        plain([path])
    pyarrow.parquet.write_table(pyarrow.table({"steps": [[[0.1, None]]]}), path)
    with pytest.raises(ValueError, match="row 1: expected a finite number, got None"):
        plain([path])


def steps_table(path, sequences, **more):
    """A row for each step of sequences of given lengths, with a feature that counts the rows."""
    names = [f"s{number}" for number, length in enumerate(sequences) for _ in range(length)]
    columns = {"sequence": names, "u": [float(row) / 2 for row in range(len(names))], **more}
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    return path


@pytest.fixture
def small_parts(monkeypatch):
    """Files of typed columns are read three rows at a time."""
    monkeypatch.setattr(parquet, "_ROWS", 3)
    monkeypatch.setattr(numeric_sequences, "_ROWS", 2)


def test_sequences_may_begin_and_end_anywhere_in_a_part(tmp_path, small_parts):
    lengths = [2, 1, 3, 8, 1, 6]
    labels = [str(row) for row in range(sum(lengths))]
    path = steps_table(tmp_path / "a.parquet", lengths, label=labels, colour=labels[::-1])
    found = read_numeric_sequences([path], SequenceColumns(categories=("colour",))).sequences()
    row = 0
    for sequence, length in zip(found, lengths, strict=True):
        rows = range(row, row + length)
        assert sequence.steps.tolist() == [[position / 2] for position in rows]
        assert sequence.labels == [str(position) for position in rows]
        assert sequence.categories == {"colour": [labels[::-1][position] for position in rows]}
        row += length


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"sequence": ["a"] * 4 + ["b", "a"]}, "the rows of sequence 'a' are not consecutive; sort the table"),
        ({"sequence": ["a"] * 4 + [None, "b"]}, "row 5: 'sequence' is null or empty; expected a value"),
        ({"label": ["a"] * 5 + [None]}, "row 6: 'label' is null or empty; expected a value"),
        ({"u": [0.0] * 4 + [None, 1.0]}, "row 5: u: expected a finite number, got ''; --missing mask reads missing"),
        ({"u": [0.0] * 4 + [float("inf"), 1.0]}, "row 5: u: expected a finite number, got inf"),
        ({"u": ["1"] * 4 + ["x", "1"]}, "row 5: u: expected a finite number, got 'x'"),
        ({"label": ["a"] * 4 + ["b\0", "a"]}, "row 5: 'label' contains a NUL character"),
    ],
)
def test_errors_name_the_row_of_the_file(tmp_path, small_parts, columns, message):
    path = steps_table(tmp_path / "a.parquet", [6], **columns)
    with pytest.raises(ValueError, match=re.escape(message)):
        read_numeric_sequences([path], SequenceColumns(features=("u",)))


def test_a_feature_that_numbers_the_rows_at_first_is_one(tmp_path, small_parts):
    messages = []
    path = steps_table(tmp_path / "a.parquet", [2, 5], v=[0, 1, 2, 3, 4, 5, 7], w=[1, 2, 3, 4, 5, 6, 7])
    read_numeric_sequences([path], notice=messages.append)
    assert [one.partition(": ")[2] for one in messages] == [
        "feature 'w' numbers the rows of the file; exclude it with --feature-columns"
    ]


@pytest.mark.parametrize(
    ("last", "message"),
    [
        ([[1.0, 2.0, 3.0]], "row 5: step 1: expected 2 features, as in row 1, got 3"),
        ([[1.0, 2.0], [3.0]], "row 5: step 2: expected 2 features, as in row 1, got 1"),
        ([], "row 5: a sequence without steps"),
        (None, "row 5: expected {\"steps\": [[numbers of a step], ...]}, got {'steps': None}"),
        ([[1.0, float("-inf")]], "row 5: expected a finite number, got -inf"),
        ([[1.0, None]], "row 5: expected a finite number, got None; --missing mask reads missing values"),
    ],
)
def test_errors_in_nested_columns_name_the_row(tmp_path, small_parts, last, message):
    path = tmp_path / "a.parquet"
    rows = [*[[[1.0, 2.0], [3.0, 4.0]]] * 4, last]
    pyarrow.parquet.write_table(pyarrow.table({"steps": rows}), path)
    with pytest.raises(ValueError, match=re.escape(message)):
        read_numeric_sequences([path])


def test_infinity_is_not_a_missing_value(tmp_path):
    columns = SequenceColumns(missing=True)
    pyarrow.parquet.write_table(pyarrow.table({"steps": [[[1.0], [float("inf")]]]}), tmp_path / "a.parquet")
    pyarrow.parquet.write_table(pyarrow.table({"sequence": ["a"], "u": [float("inf")]}), tmp_path / "b.parquet")
    for name in ("a", "b"):
        with pytest.raises(ValueError, match=r"row 1: (u: )?expected a finite number, got inf"):
            read_numeric_sequences([tmp_path / f"{name}.parquet"], columns)


def test_missing_values_of_every_form(tmp_path):
    columns = SequenceColumns(missing=True)
    (tmp_path / "a.csv").write_text("sequence,u,v\na,,1\na,NA,2\na,nan,3\n")
    (tmp_path / "a.jsonl").write_text('{"steps": [[null, 1], [NaN, 2], ["NA", 3]]}\n')
    (tmp_path / "b.jsonl").write_text('{"sequence": "a", "u": null, "v": 1}\n{"sequence": "a", "v": 2}\n')
    pyarrow.parquet.write_table(pyarrow.table({"steps": [[[None, 1.0], [float("nan"), 2.0]]]}), tmp_path / "a.parquet")
    pyarrow.parquet.write_table(
        pyarrow.table({"sequence": ["a", "a"], "u": [None, float("nan")], "v": [1, 2]}), tmp_path / "b.parquet"
    )
    for name in ("a.csv", "a.jsonl", "b.jsonl", "a.parquet", "b.parquet"):
        (found,) = read_numeric_sequences([tmp_path / name], columns).sequences()
        assert found.missing == [0], name
        assert found.steps[:, 0].tolist() == pytest.approx([math.nan] * found.length, nan_ok=True)
        assert found.steps[:, 1].tolist() == [1 + position for position in range(found.length)]


def test_a_column_of_labels_that_is_not_there_is_named_where_another_column_is_not_a_number(tmp_path):
    (tmp_path / "a.csv").write_text("sequence,label,x\ns,up,1\n")
    with pytest.raises(ValueError, match=r"line 2: label: expected a finite number, .* \(there is no column 'class'\)"):
        read_numeric_sequences([tmp_path / "a.csv"], SequenceColumns(label="class"))
