"""Series from tables: long and wide, sorted, gridded, and every defect reported."""

import re

import numpy as np
import pandas
import pyarrow
import pytest
from pyarrow import parquet

from gatewise.data.series_columns import Columns
from gatewise.data.series_reader import read_series
from gatewise.data.series_tables import TextTable, as_tables
from gatewise.data.sunspots import SUNSPOTS
from gatewise.data.time_stamps import TimeForm


def read(text, **columns):
    return read_series([TextTable("table", text)], Columns(**columns))


def values(series):
    return [None if np.isnan(value) else value for value in series.values]


def test_wide_each_column_is_a_series():
    found = read("time,a,b,c\n1,3,,5\n2,4,,\n3,,,6\n4,5,,2\n")
    assert {one.name: values(one) for one in found.series} == {"a": [3, 4, None, 5], "c": [5, None, 6, 2]}
    assert found.notes == (
        "a and 1 more series: missing values, which the network sees as such",
        "b: no values; skipped",
    )


def test_a_nameless_column_that_numbers_the_rows_is_not_a_series():
    found = read(",date,sales\n0,2020-01,5\n1,2020-02,6\n")
    assert {one.name: values(one) for one in found.series} == {"sales": [5, 6]}
    assert found.notes == ("table: column 1 has no name and numbers the rows; skipped",)
    with pytest.raises(ValueError, match=re.escape("table: column 1 has no name; expected a name for every column")):
        read(",date,sales\n0.5,2020-01,5\n1,2020-02,6\n")
    assert len(read(",date,sales\n0.5,2020-01,5\n1,2020-02,6\n", values=("sales",)).series) == 1


def test_a_nameless_column_of_dates_is_the_time():
    # A pandas series whose index of dates has no name, written by `to_csv`.
    found = read(",sales\n2020-01,5\n2020-02,6\n")
    assert {one.name: values(one) for one in found.series} == {"sales": [5, 6]}
    assert found.grid.title == "1 month"
    assert "column 1 has no name of its own and holds time stamps; it is the time column" in found.notes[0]
    assert read(",sales\n20200130,5\n20200131,6\n").grid.title == "1 day"
    with pytest.raises(ValueError, match=r"found no column of time stamps .*; a column without a name needs one first"):
        read(",sales\n1990,5\n1991,6\n")


def test_long_rows_in_any_order_and_steps_without_a_row():
    found = read("when,id,v\n2020-01-03,a,3\n2020-01-01,a,1\n2020-01-02,b,7\n2020-01-03,b,8\n", series="id")
    assert {one.name: (one.first, values(one)) for one in found.series} == {
        "a": (18262, [1, None, 3]),
        "b": (18263, [7, 8]),
    }
    assert found.notes[:2] == (
        "a: rows were not in the order of time; sorted",
        "a: steps without a row were taken for missing values",
    )
    several = read("when,id,v,w\n2020-01-01,a,1,2\n2020-01-02,a,1,2\n", series="id")
    assert [one.name for one in several.series] == ["a/v", "a/w"]


def test_the_same_rows_in_another_order_are_the_same_data():
    rows = ["2020-01,1,0", "2020-02,2,1", "2020-03,4,0"]
    one, other = (read("\n".join(["t,v,c", *part]), time="t", covariates=("c",)) for part in (rows, rows[::-1]))
    assert one.sha256 == other.sha256 != read("\n".join(["t,v,c", *rows[:2]]), time="t", covariates=("c",)).sha256


def test_covariates_continue_where_values_end():
    found = read("t,v,c\n2020-01,,1\n2020-02,2,2\n2020-03,,3\n2020-04,4,4\n2020-05,,5\n", time="t", covariates=("c",))
    (one,) = found.series
    assert values(one) == [2, None, 4]
    assert one.covariates[:, 0].tolist() == [2, 3, 4, 5]
    assert one.until(1).values.tolist() == [2]


def test_equal_rows_are_read_once_and_different_ones_are_not_chosen_from():
    assert read("time,v\n1,1\n1,1\n2,2\n").notes == ("the data: rows that stood there twice were read once",)
    with pytest.raises(
        ValueError, match=re.escape("line 2 and line 4 have the same time stamp 1 and different numbers")
    ):
        read("time,v\n1,1\n2,2\n1,3\n")


def test_a_constant_series_is_reported():
    assert read("time,v\n1,3\n2,3\n").notes == ("v: the value never changes (3); the forecast will be that",)


def test_several_tables_are_counted_through():
    tables = [TextTable(name, f"time,v\n1,1\n2,{value}\n") for name, value in (("a", 2), ("b", 3))]
    with pytest.raises(ValueError, match="the 2 tables together: a: line 3 and b: line 3 have the same time stamp 2"):
        read_series(tables, Columns())


def test_rows_as_steps_and_columns_by_number():
    found = read("5,x\n6,x\n7,x\n", time="row", values=("1",))
    assert (found.series[0].first, values(found.series[0])) == (1, [5, 6, 7])


@pytest.mark.parametrize(
    ("text", "columns", "message"),
    [
        ("t,v\nx,1\n", {}, "table: found no column of time stamps among 't', 'v'; name it with --time-column, or give"),
        (
            "day;v\n2020-01-01;1\n",
            {},
            "among 'day;v' (separated by ';'? .csv has commas, .tsv tabs; otherwise give --separator ';'); name it",
        ),
        ("day;v\n2020-01-01;1\n", {"time": "day"}, "no column 'day'; its first line names 'day;v' (separated by ';'?"),
        ("2020-01,1\n2020-02,2\n", {}, "the first line has a time stamp, '2020-01', not names of columns; add a line"),
        ("time,v\n1,1\n1,2\n", {}, "table: line 2 and line 3 have the same time stamp 1 and different numbers"),
        ("t,v\nx,1\n", {"time": "t"}, "table: line 2: column 't': 'x' is not a valid time stamp; expected ISO 8601"),
        (
            "time,v\n1,x\n2,1\n",
            {},
            "table: line 2: column 'v': expected a number, got 'x'; name what is to be forecast",
        ),
        ("time,v\n1,\n2,\n", {}, "table: there are no values in 'v'"),
        ("time,v\n", {}, "table: there are no rows in it"),
        ("time,v\n1,1\n2,2\n", {"values": ("w",)}, "no column 'w'"),
        ("time,v\n1,1\n2,2\n", {"values": ("time",)}, "column 'time' is named twice"),
        ("time,v\n1,1\n2,2\n", {"covariates": ("v",)}, "table: no column of values beside 'time', 'v'"),
        ("time,v,c\n1,1,\n2,2,1\n", {"covariates": ("c",)}, "table: line 2: column 'c': a covariate must be known"),
        ("time,v\n2020-01-01 00:00,1\n2020-01-01 00:07,2\n2020-01-01 01:11,2\n", {}, "table: the time stamps are irr"),
    ],
)
def test_errors(text, columns, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        read(text, **columns)


def test_a_grid_that_is_given():
    grid = read("time,v\n2020-01,1\n2020-02,1\n").grid
    found = read_series([TextTable("t", "time,v\n2021-05,1\n")], Columns(), grid)
    assert found.series[0].first == 51 * 12 + 4
    with pytest.raises(ValueError, match="line 2: the time stamp 2021-05-02 00:00:00 is not on the grid of the others"):
        read_series([TextTable("t", "time,v\n2021-05-02,1\n")], Columns(), grid)
    with pytest.raises(
        ValueError, match="t: line 2: column 'time': '1' is not a valid time stamp like the others; expected ISO 8601"
    ):
        read_series([TextTable("t", "time,v\n1,1\n")], Columns(), grid)


@pytest.mark.parametrize(
    ("stamps", "title", "form", "after"),
    [
        (["20200130", "20200131", "20200203"], "1 day", "%Y%m%d", "20200204"),
        (["20200131.0", "20200229.0", "20200331.0"], "1 month", "%Y%m%d", "20200430"),  # beside a missing one, pandas
        (["202011", "202012", "202101"], "1 month", "%Y%m", "202102"),
        (["2020013122", "2020013123", "2020020100"], "1 hour", "%Y%m%d%H", "2020020101"),
        (["202001312350", "202002010000"], "10 minutes", "%Y%m%d%H%M", "202002010010"),
        (["20200131235959", "20200201000000"], "1 second", "%Y%m%d%H%M%S", "20200201000001"),
        (["999993600", "1000080000"], "1 day", "seconds since 1970", "1000166400"),
        (["1580515200.5", "1580515201.0"], "0.5 seconds", "seconds since 1970", "1580515201.5"),
        (["1580515200000", "1583020800000", "1585699200000"], "1 month", "milliseconds since 1970", "1588291200000"),
        (["1580515200000000", "1580518800000000"], "1 hour", "microseconds since 1970", "1580522400000000"),
        (["1580515200000000000", "1580518800000000000"], "1 hour", "nanoseconds since 1970", "1580522400000000000"),
    ],
)
def test_numbers_all_of_which_are_dates_are_dates(stamps, title, form, after):
    text = "time,v\n" + "".join(f"{stamp},{position}\n" for position, stamp in enumerate(stamps))
    found = read(text)
    message = (
        f"table: numbers of column 'time' are read as dates ({form}); give --time-format number where they are only"
    )
    assert found.notes[0].startswith(message)
    (one,) = found.series
    end = one.numbers(len(one) - 1, len(one))
    assert (found.grid.title, found.grid.written(end + 1)) == (title, [after])
    # What comes later is read in the same form, one row at a time too, and without saying it again.
    later = read_series([TextTable("later", f"time,v\n{after},1\n")], Columns(), found.grid)
    assert (later.series[0].first, later.notes) == (end[0] + 1, ())
    with pytest.raises(ValueError, match="later: line 2: column 'time': 'x' is not a valid time stamp like the others"):
        read_series([TextTable("later", "time,v\nx,1\n")], Columns(), found.grid)
    as_numbers = TimeForm.of_all(stamps, "number")
    assert as_numbers is not None
    assert as_numbers.counts


@pytest.mark.parametrize(
    "stamps",
    [
        ["20200130", "20200132"],  # not a day
        ["202012", "202013"],  # not a month
        ["1950", "1951"],
        ["100001", "100002"],  # years in no calendar
        ["20200130", "202002"],
        ["100", "1580515200"],
        ["1e3", "2e3"],
    ],
)
def test_other_numbers_are_numbers(stamps):
    form = TimeForm.of_all(stamps)
    assert form is not None
    assert form.counts


def test_numbers_are_read_as_the_user_says():
    for form, stamp, after in (("epoch-s", "3600", "10800"), ("%Y%m%d", "11110101", "11110103")):
        found = read(f"time,v\n{stamp},1\n{int(stamp) + (after == '10800') * 3599 + 1},2\n", time_format=form)
        assert found.notes == ()
        assert found.grid.written(found.series[0].numbers(2, 3)) == [after]


def test_data_frames_and_files_hold_the_same(tmp_path):
    frame = pandas.DataFrame(
        {"v": [1.5, 2.0, np.nan, 4.0]}, index=pandas.date_range("2020-01-31", periods=4, freq="ME", name="when")
    )
    frame.reset_index().to_csv(tmp_path / "a.csv", index=False)
    parquet.write_table(pyarrow.Table.from_pandas(frame.reset_index()), tmp_path / "a.parquet")
    frame.reset_index().to_json(tmp_path / "a.jsonl", orient="records", lines=True, date_format="iso")
    text = (tmp_path / "a.jsonl").read_text().replace(".000", "").replace("T00:00:00", "").replace("Z", "")
    (tmp_path / "a.jsonl").write_text(text)
    tables = [as_tables(frame), *(as_tables(tmp_path / f"a.{kind}") for kind in ("csv", "parquet", "jsonl"))]
    found = [read_series(one, Columns("when")) for one in tables]
    assert len({one.sha256 for one in found}) == 1
    assert found[0].series[0].values.tolist()[:2] == [1.5, 2.0]
    assert found[1].grid.title == "1 month"
    with pytest.raises(ValueError, match="the data frame: no column 'w'; it has 'when', 'v'"):
        read_series(as_tables(frame), Columns("when", values=("w",)))


def test_the_sunspot_numbers():
    (one,) = read_series(as_tables(SUNSPOTS), Columns()).series
    assert (one.name, len(one), one.values[0], one.values[-1]) == ("Sunspots", 2820, 58.0, 33.4)


class Parts:
    """A table that is read in some parts, each with its rows."""

    where = "table"

    def __init__(self, *parts):
        self._parts = [TextTable("table", f"time,v\n{part}") for part in parts]

    def names(self):
        return ["time", "v"]

    def parts(self, columns, numbers=()):
        return (rows for part in self._parts for rows in part.parts(columns, numbers))


@pytest.mark.parametrize(
    ("first", "second", "form"),
    [
        ("202001,1\n202002,2\n", "202003,3\n", "%Y%m"),
        ("202001,1\n202002,2\n", "202013,3\n", "number"),  # no month
        ("200000000,1\n300000000,2\n", "1400000000,3\n", "epoch-s"),  # the first ones may be counts
        ("5,1\n6,2\n", "7,3\n", "number"),
        ("2020-01,1\n2020-02,2\n", "2020-03,3\n", "%Y-%m"),
    ],
)
def test_the_form_of_stamps_is_that_of_all_parts_of_a_table(first, second, form):
    found, whole = (read_series([table], Columns()) for table in (Parts(first, second), Parts(first + second)))
    assert found.grid.form.written == form
    assert found.sha256 == whole.sha256
