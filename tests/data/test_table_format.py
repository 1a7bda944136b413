"""Tables that are written in other ways: separators, decimal marks, encodings, comments."""

import re

import pytest

from gatewise.data.labelled_texts import labelled_texts
from gatewise.data.numeric_sequences import read_numeric_sequences
from gatewise.data.pairs import read_pairs
from gatewise.data.series_columns import Columns
from gatewise.data.series_reader import read_series
from gatewise.data.series_tables import as_tables
from gatewise.data.table_format import TableFormat
from gatewise.data.tables import column_names, read_columns


@pytest.fixture
def write(tmp_path):
    def write(text, name="a.csv", encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes(text.encode(encoding))
        return path

    return write


def numbers(path, format):
    found = read_numeric_sequences([path], format=format).sequences()
    return [(sequence.steps.tolist(), sequence.labels) for sequence in found]


def test_semicolons_and_decimal_commas(write):
    format = TableFormat(";", ",")
    path = write("sequence;u;v;label\n1;2,5;-1e-3;a\n1;,5;7;a\n")
    assert numbers(path, format) == [([[2.5, -0.001], [0.5, 7.0]], ["a", "a"])]
    path = write("day;v\n2020-01-01;1,25\n2020-01-02;\n2020-01-03;3\n")
    (series,) = read_series(as_tables(path, format), Columns()).series
    assert series.values.tolist()[::2] == [1.25, 3.0]


def test_texts_and_pairs(write):
    path = write("text|label\n'a, b'|x\n\"c|d\"|y\n")
    assert list(labelled_texts([path], "text", "label", TableFormat("|"))) == [("'a, b'", "x"), ("c|d", "y")]
    path = write("source\ttarget\na, b\tc\n")
    assert list(read_pairs([path], format=TableFormat("tab"))) == [("a, b", "c")]
    assert column_names(path, TableFormat("\t")) == ["source", "target"]


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "utf-16", "utf-8-sig", "UTF8"])
def test_encodings(write, encoding):
    path = write("text,label\né,à\n", encoding=encoding)
    assert list(read_columns(path, ("text", "label"), format=TableFormat(encoding=encoding))) == [("é", "à")]


def test_comments_are_skipped_where_a_row_begins(write):
    path = write('# "made" by hand\ntext,label\n"one\n# two",x\n# more, of, them\n#3,y\n')
    rows = read_columns(path, ("text", "label"), format=TableFormat(comments="# "))
    assert list(rows) == [("one\n# two", "x"), ("#3", "y")]
    assert [rows.locations.location(row) for row in range(2)] == ["line 3", "line 6"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"separator": ";;"}, "separator: expected one character, or tab, got ';;'"),
        ({"separator": '"'}, "separator: expected one character, or tab, got"),
        ({"comments": ""}, "comments: expected what comment lines begin with"),
        ({"encoding": "klingon"}, "encoding: expected one that Python knows, such as utf-16"),
        ({"separator": ",", "decimal": ","}, "decimal: ',' is the separator of columns too"),
    ],
)
def test_options_that_mean_nothing(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        TableFormat(**options)


@pytest.mark.parametrize(
    ("text", "format", "message"),
    [
        ("sequence;u\n1;2\n", TableFormat(), "otherwise give --separator ';')"),
        (
            "sequence;u\n1;2,5\n",
            TableFormat(";"),
            "line 2: u: expected a finite number, got '2,5'; write decimals with",
        ),
        ("sequence;u\n1;2,5\n", TableFormat(";"), "or give --decimal , where that is the decimal mark"),
        (
            "sequence;u\n1;1.000,5\n",
            TableFormat(";", ","),
            "u: expected a finite number, got '1.000,5'; the decimal mark",
        ),
        # One, to those who take the point for a decimal mark too.
        ("sequence;u\n1;1.000\n", TableFormat(";", ","), "u: expected a finite number, got '1.000'; the decimal mark"),
        (
            "sequence;u\n1;2;3\n",
            TableFormat(";"),
            "line 2: expected 2 fields, as in line 1, got 3; a field with ';' in it",
        ),
    ],
)
def test_hints_name_the_option(write, text, format, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        numbers(write(text), format)


def test_a_decimal_comma_in_a_table_with_another_separator(write):
    with pytest.raises(
        ValueError, match=r"line 2: expected 1 fields, as in line 1, got 2 \(separated by ';'\? .*--separator"
    ):
        read_series(as_tables(write("day;v\n2020-01-01;2,5\n")), Columns())


def test_an_encoding_is_hinted_at_and_its_errors_are_named(write):
    path = write("text,label\né,à\n", encoding="cp1252")
    with pytest.raises(ValueError, match=r"line 2: not UTF-8: .*; or name its encoding with --encoding"):
        read_columns(path, ("text",))
    with pytest.raises(ValueError, match="not ascii: 'ascii' codec can't decode byte 0xe9 in position 11"):
        read_columns(path, ("text",), format=TableFormat(encoding="ascii"))
