"""Dates and numbers in words: there and back, and the pairs made of them."""

import datetime
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewise.data import written_forms as module
from gatewise.data.number_words import from_words, in_words, ordinal_from_words, ordinal_in_words
from gatewise.data.written_forms import read_form, written_forms


@given(st.integers(0, 999_999_999), st.booleans())
def test_numbers_come_back(number, joined_by_and):
    assert from_words(in_words(number, joined_by_and=joined_by_and)) == number


@pytest.mark.parametrize("number", range(1, 100))
def test_ordinals_come_back(number):
    assert ordinal_from_words(ordinal_in_words(number)) == number


@pytest.mark.parametrize(
    ("words", "number"),
    [
        ("two hundred and six", 206),
        ("twelve hundred and six", 1206),
        ("a hundred", 100),
        ("nineteen eighty-seven", 1987),
        ("twenty twenty", 2020),
        ("nineteen oh five", 1905),
        ("two thousand and five", 2005),
        ("one million and one", 1_000_001),
        ("zero", 0),
    ],
)
def test_numbers_in_words(words, number):
    assert from_words(words) == number


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("the third of March 1987", "1987-03-03"),
        ("Tuesday, the 3rd of mar nineteen eighty-seven", "1987-03-03"),
        ("2000 February 29", "2000-02-29"),
        ("May the ninth, eighteen hundred and two", "1802-05-09"),
        ("the first of May in the year two thousand", "2000-05-01"),
        ("two hundred and six", "206"),
        ("1,206", "1206"),
    ],
)
def test_forms_are_read(written, plain):
    assert read_form(written) == plain


@pytest.mark.parametrize("text", ["nonsense", "the third of March", "31 February 1999", "3 4 March 1987"])
def test_what_is_no_form(text):
    with pytest.raises(ValueError, match=r"."):
        read_form(text)


def test_pairs_are_distinct_the_same_for_a_seed_and_read_back():
    pairs = written_forms(300, 200, seed=3)
    assert pairs == written_forms(300, 200, seed=3) != written_forms(300, 200, seed=4)
    assert len({plain for _, plain in pairs}) == len({written for written, _ in pairs}) == 500
    for written, plain in pairs:
        assert read_form(written) == plain
        assert plain.isdecimal() or datetime.date.fromisoformat(plain)


def test_every_day_has_a_suffix():
    dates = [datetime.date(1999, 1, day) for day in range(1, 32)]
    found = [f"{date.day}{module._suffix(date.day)}" for date in dates]
    assert [one for one in found if not one.endswith("th")] == ["1st", "2nd", "3rd", "21st", "22nd", "23rd", "31st"]


def test_a_form_that_reads_otherwise_is_a_defect(monkeypatch):
    monkeypatch.setattr(module, "_written_number", lambda number, draw: "seven")
    with pytest.raises(AssertionError, match=r"(?i)'seven' was made from"):
        written_forms(0, 50)


@given(st.integers(0, 10_000), st.dates(datetime.date(1700, 1, 1), datetime.date(2099, 12, 31)))
def test_whatever_is_drawn_is_read_back(seed, date):
    assert read_form(module._written_date(date, random.Random(seed))) == date.isoformat()
