"""Time stamps and the grid they lie on."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewise.data.grid_inference import infer_grid
from gatewise.data.time_grid import TimeGrid
from gatewise.data.time_stamps import TimeForm


def grid_of(texts, form=None):
    found = TimeForm.of(texts[0], form)
    stamps = found.read(texts, lambda row: f"table: row {row + 1}")
    return infer_grid([stamps], found), stamps


def days(first, last, step=1):
    return [str(day) for day in np.arange(first, last, step, dtype="M8[D]")]


WORKING_DAYS = [day for day in days("2021-01-01", "2021-03-01") if np.is_busday(np.datetime64(day))]


@pytest.mark.parametrize(
    ("texts", "title", "season", "after"),
    [
        (["1749-01", "1749-02", "1749-04"], "1 month", 12, "1749-05"),
        (["2020-01-31", "2020-02-29", "2020-03-31"], "1 month", 12, "2020-04-30"),
        (["2020-01-15", "2020-04-15", "2020-10-15"], "3 months", 4, "2021-01-15"),
        (["2019-01-01", "2020-01-01", "2022-01-01"], "1 year", 1, "2023-01-01"),
        (["2020-01-15T03:00", "2020-01-15T04:00", "2020-01-15T06:00"], "1 hour", 24, "2020-01-15T07:00"),
        (["2020-01-15 03:00:30", "2020-01-15 03:10:30"], "10 minutes", 144, "2020-01-15 03:20:30"),
        (["2020-01-15 03:00+01:00", "2020-01-15 04:00+01:00"], "1 hour", 24, "2020-01-15 04:00+00:00"),
        (WORKING_DAYS, "1 working day", 5, "2021-03-01"),
        (days("2021-01-01", "2021-02-01"), "1 day", 7, "2021-02-01"),
        (days("2021-01-01", "2021-03-05", 7), "1 week", 52, "2021-03-05"),
        (["1700", "1701", "1703"], "1 (a number)", 1, "1704"),
        (["0.5", "0.75", "1.25"], "0.25 (a number)", 1, "1.5"),
    ],
)
def test_a_grid_is_derived_from_its_stamps(texts, title, season, after):
    grid, stamps = grid_of(texts)
    numbers, on_grid = grid.numbers(stamps)
    assert on_grid.all()
    assert (grid.title, grid.season) == (title, season)
    assert (grid.stamps(numbers) == stamps).all()
    assert grid.written(numbers[-1:] + 1) == [after]
    assert TimeGrid.from_content(grid.content()) == grid


def test_a_form_of_ones_own():
    grid, stamps = grid_of(["31/01/2020", "29/02/2020"], "%d/%m/%Y")
    assert grid.written(grid.numbers(stamps)[0] + 1) == ["29/02/2020", "31/03/2020"]
    assert TimeForm.of("2020-01-31", "%d/%m/%Y") is None


@pytest.mark.parametrize("text", ["31/01/2020", "x", "", "nan", "2020-13"])
def test_what_is_no_time_stamp(text):
    assert TimeForm.of(text) is None


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["2020-01-01", "x"], "table: row 2: 'x' is not a valid time stamp like the others; expected ISO 8601"),
        (
            ["2020-01-01 01:00", "2020-01-01 02:00+01:00"],
            "row 2: '2020-01-01 02:00+01:00' is not a valid time stamp like",
        ),
        (["1", "x"], "row 2: 'x' is not a valid time stamp like the others; expected a number"),
        (["2020-01-01"], "the time stamps are too few to infer the length of a step"),
        (
            ["2020-01-01 00:00", "2020-01-01 00:07", "2020-01-01 00:14", "2020-01-01 01:11"],
            "the time stamps are irregular: most steps are 7 minutes, and 2020-01-01 01:11 is no whole number of them "
            "from 2020-01-01 00:00; bring the data to equal steps first",
        ),
        (["1", "2", "3", "4.5"], "irregular: most steps are 1, and 4.5 is no whole number of them from 1;"),
        (["1", "2", "3", "4", "1e9"], "irregular: most steps are 1, and there is a row for less than 1 in 10 of them;"),
    ],
)
def test_what_has_no_grid(texts, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        grid_of(texts)


def test_what_is_off_the_grid():
    grid, _ = grid_of(WORKING_DAYS)
    assert grid.numbers(np.array(["2021-01-09"], "M8[us]"))[1].tolist() == [False]
    grid, _ = grid_of(["2020-01", "2020-02"])
    assert grid.numbers(np.array(["2020-01-02", "2020-03-01"], "M8[us]"))[1].tolist() == [False, True]
    grid, _ = grid_of(["0", "0.5"])
    assert grid.numbers(np.array([1e300, 1e20, 0.2, 7.0]))[1].tolist() == [False, False, False, True]


def test_a_stamp_beyond_the_calendar_is_written_and_one_at_its_end_is_rejected():
    grid, _ = grid_of(["9999-10", "9999-11"])
    assert grid.written(np.array([12 * (9999 - 1970) + 11, 12 * (9999 - 1970) + 12])) == [
        "9999-12",
        "10000-01-01T00:00:00.000000",
    ]
    with pytest.raises(ValueError, match="is not a valid time stamp like the others"):
        TimeForm("%Y-%m-%dT%H:%M+00:00", zoned=True).read(["0001-01-01T00:00+23:00"], str)


@given(
    st.integers(-400, 4000),
    st.lists(st.integers(1, 5), min_size=2, max_size=20),
    st.sampled_from(["months", "weekdays", "seconds", "numbers"]),
    st.floats(0, 3599),
)
def test_numbers_and_stamps_are_each_others_inverse(first, gaps, kind, clock):
    every = {"seconds": 3600.0}.get(kind, 1.0)
    phase = float(round(clock)) if kind == "seconds" else 0.0
    clock_value = float(round(clock)) if kind in ("months", "weekdays") else 0.0
    grid = TimeGrid(kind, every, phase, 1, clock_value, TimeForm("x"))
    numbers = first + np.cumsum(gaps)
    found, on_grid = grid.numbers(grid.stamps(numbers))
    assert on_grid.all()
    assert (found == numbers).all()
