"""Tables in memory as Arrow tables: what each kind becomes, and what is wrong with one."""

import pandas
import pyarrow
import pytest
from pyarrow import parquet

from gatewise.data.in_memory import as_files, is_in_memory, texts_of, to_arrow

ROWS = [{"text": "007", "n": 1}, {"text": "NA", "n": 2}, {"text": "nan", "n": 3}]


class Exported:
    """What Polars data frames and others offer: Arrow's stream, and nothing else that is known here."""

    def __init__(self, table):
        self._table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self._table.__arrow_c_stream__(requested_schema)


class Feature:
    def __init__(self, names=None, feature=None):
        self.names, self.feature = names, feature


class Dataset:
    """What a Hugging Face dataset offers."""

    def __init__(self, table, features):
        self._table = table
        self.features = features

    @property
    def column_names(self):
        return self._table.column_names

    def with_format(self, kind):
        assert kind == "arrow"
        return self

    def __getitem__(self, rows):
        return self._table[rows]


class Streamed:
    """What an iterable dataset offers."""

    column_names = None

    def __iter__(self):
        return iter(ROWS)


@pytest.mark.parametrize(
    "data",
    [
        ROWS,
        {name: [row[name] for row in ROWS] for name in ROWS[0]},
        pandas.DataFrame(ROWS),
        pandas.DataFrame(ROWS, index=[4, 2, 9]),
        pyarrow.Table.from_pylist(ROWS),
        Exported(pyarrow.Table.from_pylist(ROWS)),
        Dataset(pyarrow.Table.from_pylist(ROWS), {"text": Feature(), "n": Feature()}),
        Streamed(),
    ],
    ids=lambda data: type(data).__name__,
)
def test_every_kind_holds_the_same_values_and_types(data):
    assert is_in_memory(data)
    table = to_arrow(data)
    assert table.to_pylist() == ROWS
    assert table.schema.field("n").type == pyarrow.int64()
    with as_files(data) as (path,):
        assert parquet.read_table(path).to_pylist() == ROWS
    assert not path.exists()


def test_an_index_that_says_something_is_a_column():
    frame = pandas.DataFrame({"v": [1.0, None]}, index=pandas.Index(["a", "b"], name="shop"))
    assert to_arrow(frame).to_pylist() == [{"shop": "a", "v": 1.0}, {"shop": "b", "v": None}]
    frame.index = pandas.date_range("2020-01-31", periods=2)
    assert to_arrow(frame).column_names == ["index", "v"]


def test_classes_of_a_dataset_are_names():
    table = pyarrow.table({"label": [1, 0, -1], "tags": [[0, 1], [], [1]]})
    features = {"label": Feature(["bad", "good"]), "tags": Feature(feature=Feature(["O", "B-LOC"]))}
    assert to_arrow(Dataset(table, features)).to_pylist() == [
        {"label": "good", "tags": ["O", "B-LOC"]},
        {"label": "bad", "tags": []},
        {"label": None, "tags": ["B-LOC"]},
    ]


def test_rows_may_lack_what_others_have():
    assert to_arrow([{"a": 1}, {"b": "x"}]).to_pylist() == [{"a": 1, "b": None}, {"a": None, "b": "x"}]


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        ([{"a": 1}, {"a": "x"}], ValueError, "data: row 2: 'a': expected int, as before, got 'x'"),
        ([{"a": 1}, ["x"]], TypeError, r"data: row 2: expected a dict, got \['x'\]"),
        ([{1: 1}], TypeError, "data: expected names of columns, got 1"),
        ({"train": ROWS, "test": ROWS}, TypeError, "expected one table, got several .'train', 'test'.; choose one"),
        ({"a": [1, 2], "b": [1]}, ValueError, "data: .*b.* expected length 2 but got length 1"),
        (pandas.DataFrame({"a": []}), ValueError, "data: there are no rows in it"),
        (pandas.DataFrame({"a": [1, "x"]}), ValueError, "data: .*'x'.*; expected values of one type in a column"),
        (pyarrow.table([[1], [2]], names=["a", "a"]), ValueError, "data: two columns are named 'a'; rename one"),
    ],
)
def test_what_is_wrong_is_named(data, error, message):
    with pytest.raises(error, match=message):
        to_arrow(data)


def test_columns_of_text_hold_text():
    assert texts_of(ROWS, "text") == ["007", "NA", "nan"]
    with pytest.raises(ValueError, match="data: no column 'words'; it has 'text', 'n'"):
        texts_of(ROWS, "words")
    with pytest.raises(ValueError, match="data: row 1: 'n': expected text, got 1"):
        texts_of(ROWS, "n")


def test_paths_stay_paths_and_messages_name_no_temporary_file(tmp_path):
    with as_files(str(tmp_path / "a.csv")) as paths:
        assert paths == [tmp_path / "a.csv"]

    def read(paths):
        raise ValueError(f"{paths[0]}: row 1: bad")

    with pytest.raises(ValueError, match=r"^valid: row 1: bad$"), as_files(ROWS, "valid") as paths:
        read(paths)
