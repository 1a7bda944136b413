"""Time in local time and in several columns: which instants rows are at, and what is wrong with them."""

import re

import numpy as np
import pytest
from hypothesis import given, strategies

from gatewise.data.series_columns import Columns
from gatewise.data.series_reader import read_series
from gatewise.data.series_tables import TextTable, as_tables
from gatewise.data.time_zones import check_zone, in_order, missing_in, to_local, to_utc

BERLIN = "Europe/Berlin"
AUTUMN = ["2020-10-25 00:00", "2020-10-25 01:00", "2020-10-25 02:00", "2020-10-25 02:00", "2020-10-25 03:00"]


def read(text, grid=None, **columns):
    return read_series([TextTable("table", text)], Columns(**columns), grid)


def table(stamps, name="time"):
    return f"{name},v\n" + "".join(f"{stamp},{row}\n" for row, stamp in enumerate(stamps))


def test_the_doubled_hour_is_known_by_the_order_of_rows():
    found = read(table(AUTUMN), time_zone=BERLIN)
    (one,) = found.series
    assert (one.values.tolist(), found.notes, found.grid.title) == ([0, 1, 2, 3, 4], (), "1 hour")
    assert found.grid.stamps(one.numbers(0, 5))[[0, -1]].astype(str).tolist() == [
        "2020-10-24T22:00:00.000000",
        "2020-10-25T02:00:00.000000",
    ]
    assert found.grid.written(one.numbers(1, 5)) == [
        "2020-10-25 01:00+02:00",
        "2020-10-25 02:00+02:00",
        "2020-10-25 02:00+01:00",
        "2020-10-25 03:00+01:00",
    ]
    # With their distance from UTC they are the same, in any order, and so is the newest row first.
    written = found.grid.written(one.numbers(0, 5))
    for stamps, zone in ((written, BERLIN), (written, None), (AUTUMN[::-1], BERLIN)):
        text = table(stamps) if stamps is written else "time,v\n" + "".join(table(AUTUMN).splitlines(True)[:0:-1])
        assert read(text, time_zone=zone).series[0].values.tolist() == [0, 1, 2, 3, 4]
    # What was trained on local times reads those with a distance too.
    again = read(table(written), found.grid, time_zone=BERLIN)
    assert again.series[0].first == one.first


def test_the_missing_hour_is_no_gap():
    stamps = ["2020-03-29 00:30", "2020-03-29 01:30", "2020-03-29 03:30", "2020-03-29 04:30"]
    found = read(table(stamps), time_zone=BERLIN)
    assert found.notes == ()
    assert len(found.series[0]) == 4
    assert "steps without a row were taken for missing values" in read(table(stamps)).notes[0]


def test_each_series_has_a_doubled_hour_of_its_own():
    text = "time,shop,v\n" + "".join(f"{stamp},{shop},{row}\n" for row, stamp in enumerate(AUTUMN) for shop in "ab")
    found = read(text, series="shop", time_zone=BERLIN)
    assert [one.values.tolist() for one in found.series] == [[0, 1, 2, 3, 4]] * 2


@given(strategies.integers(1, 60), strategies.datetimes(), strategies.sampled_from([BERLIN, "America/New_York"]))
def test_rows_in_the_order_of_time_come_back(minutes, first, zone):
    first = max(np.datetime64(first, "m"), np.datetime64("1990-01-01", "m"))
    first = min(first, np.datetime64("2036-01-01", "m"))
    instants = (first + np.arange(0, 400 * 24 * 60, minutes)).astype("M8[us]")
    local = to_local(instants, zone)
    # Data that begins or ends in a doubled hour does not say which.
    begin, end = (np.flatnonzero(np.equal(*to_utc(local, zone)))[index] for index in (0, -1))
    found, unknown = in_order(*to_utc(local[begin : end + 1], zone))
    assert unknown is None
    assert np.array_equal(found, instants[begin : end + 1])
    assert not missing_in(local, zone).any()


@pytest.mark.parametrize(
    ("text", "columns", "message"),
    [
        (
            table(AUTUMN[:3] + AUTUMN[4:]),
            {"time_zone": BERLIN},
            "table: line 4: the local time 2020-10-25 02:00 comes twice in Europe/Berlin, and the order of rows does "
            "not say which one this is: expected the rows of the first hour, then those of the second; write stamps "
            "with their distance from UTC (2020-10-25 02:00+02:00), or in UTC",
        ),
        (
            table([*AUTUMN[:4], *AUTUMN[2:]]),
            {"time_zone": BERLIN},
            "table: line 4: the local time 2020-10-25 02:00 comes",
        ),
        (
            table(["2020-03-29 01:30", "2020-03-29 02:30"]),
            {"time_zone": BERLIN},
            "table: line 3: column 'time': '2020-03-29 02:30' does not exist in Europe/Berlin, where clocks are put",
        ),
        (table(AUTUMN), {}, "if it is the hour that comes twice in local time, give --time-zone"),
        (
            table(["2020-03-28", "2020-03-29"]),
            {"time_zone": BERLIN},
            "time_zone: the time stamps have no time of the day (they are read as ISO 8601",
        ),
        (
            table([1, 2]),
            {"time_zone": BERLIN},
            "time_zone: the time stamps have no time of the day (they are read as a n",
        ),
        # A day in local time has 23 to 25 hours.
        (
            table([f"2020-03-{day} 00:00" for day in (27, 28, 29, 30, 31)]),
            {"time_zone": BERLIN},
            "table: the time stamps are irregular: most steps are 1 day, and 2020-03-30 00:00+02:00 is no whole number",
        ),
        (
            table(["2020-10-25 02:00+02:00", "2020-10-25 02:00"]),
            {"time_zone": BERLIN},
            "table: line 3: column 'time': '2020-10-25 02:00' is not a valid time stamp like the others",
        ),
    ],
)
def test_what_is_wrong_is_named(text, columns, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        read(text, **columns)


def test_names_of_time_zones_are_checked():
    check_zone("UTC")
    with pytest.raises(
        ValueError, match="time_zone: expected the name of a time zone, such as Europe/Berlin or UTC, got"
    ):
        check_zone("Europe/Berlinn")


@pytest.mark.parametrize(
    ("names", "rows", "columns", "stamps"),
    [
        ("year,month", ["2020,1", "2020,02", "2020,3.0"], {}, ["2020-01", "2020-03"]),
        (
            "Day,Month,Year",
            ["30,1,2020", "31,1,2020", "1,2,2020"],
            {},
            ["2020-01-30", "2020-02-01"],
        ),
        (
            "year,month,day,hour",
            ["2020,1,1,23", "2020,1,2,0", "2020,1,2,1"],
            {},
            ["2020-01-01 23:00", "2020-01-02 01:00"],
        ),
        (
            "date,time",
            ["2020-01-01,23:30", "2020-01-02,00:00", "2020-01-02,00:30"],
            {},
            ["2020-01-01 23:30", "2020-01-02 00:30"],
        ),
        (
            "d,t",
            ["1/2/2020,6", "1/2/2020,7", "1/2/2020,8"],
            {"time_format": "%d/%m/%Y %H"},
            ["01/02/2020 06", "01/02/2020 08"],
        ),
    ],
)
def test_time_in_several_columns(names, rows, columns, stamps):
    text = f"{names},v\n" + "".join(f"{row},{index}\n" for index, row in enumerate(rows))
    found = read(text, **{"time": names, **columns})
    (one,) = found.series
    assert (one.name, one.values.tolist()) == ("v", [0, 1, 2])
    assert found.grid.written(one.numbers(0, 3))[::2] == stamps


def test_local_time_in_several_columns():
    rows = [(25, 1), (25, 2), (25, 2), (25, 3)]
    text = "year,month,day,hour,v\n" + "".join(
        f"2020,10,{day},{hour},{index}\n" for index, (day, hour) in enumerate(rows)
    )
    (one,) = read(text, time="year,month,day,hour", time_zone=BERLIN).series
    assert one.values.tolist() == [0, 1, 2, 3]


def test_time_in_several_columns_of_numbers_in_memory_and_without_names():
    rows = [{"year": 2020, "month": 12, "v": 1.5}, {"year": 2021, "month": 1, "v": 2.5}]
    (one,) = read_series(as_tables(rows), Columns("year,month")).series
    assert one.values.tolist() == [1.5, 2.5]
    (one,) = read("2020-01-01,06:00,5\n2020-01-01,07:00,6\n", time="1,2", values=("3",)).series
    assert one.values.tolist() == [5, 6]


@pytest.mark.parametrize(
    ("text", "time", "message"),
    [
        (
            "year,day,v\n2020,1,1\n",
            "year,day",
            "time_column: expected year, month, day, hour, minute, second, each with",
        ),
        (
            "year,month,v\n2020,1,1\n2020,13,1\n",
            "year,month",
            "table: line 3: columns 'year', 'month': '2020-13' is not a",
        ),
        (
            "year,month,v\n2020,Jan,1\n",
            "year,month",
            "table: line 2: columns 'year', 'month': '2020-Jan' is not a valid",
        ),
        ("year,v\n2020,1\n", "year,month", "table: no column 'month'; its first line names 'year', 'v'"),
    ],
)
def test_what_is_wrong_with_several_columns_is_named(text, time, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        read(text, time=time)
