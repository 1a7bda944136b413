"""Which steps are for what."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewise.data.series import Series
from gatewise.tasks.forecasting import batches
from gatewise.tasks.forecasting.batches import Span, spans_to_learn
from gatewise.tasks.forecasting.splits import Ends, Tables, all_spans, scored_spans, split, split_all, split_by_tables
from tests.tasks.forecasting.test_scores import panel


def series(name, length):
    return Series(name, 0, np.arange(float(length)), np.zeros((length, 0)))


@given(st.integers(1, 500), st.integers(1, 30), st.floats(0.01, 0.8), st.floats(0, 0.8))
def test_each_part_has_room_for_a_forecast(length, horizon, held_out, test):
    found = split(length, horizon, held_out, test)
    if found is not None:
        assert found.learned >= 8
        assert found.decided - found.learned >= horizon
        assert found.length - found.decided == 0 if test == 0 else found.length - found.decided >= horizon
    elif held_out + test < 0.5:
        assert length < 8 + 2 * max(horizon, 0.5 * length)


@given(st.integers(1, 500), st.integers(1, 30), st.integers(1, 90), st.integers(1, 90))
def test_numbers_of_steps_are_taken_as_they_are(length, horizon, held_out, test):
    found = split(length, horizon, held_out, test)
    if length - held_out - test < 8:
        assert found is None
    else:
        assert found == Ends(length - held_out - test, length - test, length)


def test_tables_of_parts_end_where_they_do():
    one = dataclasses.replace(series("a", 40), sources=((0, 12), (12, 24), (24, 30), (30, 40)))
    assert split_by_tables(one, Tables(2, 1, 1), 4, 0.1) == Ends(24, 30, 40)
    # Without a table of what decides, that is the end of the data: 4 steps of 30, at least a horizon and half of one.
    assert split_by_tables(one, Tables(3, 0, 1), 4, 0.1) == Ends(25, 30, 40)
    assert split_by_tables(one, Tables(3, 0, 1), 4, 6) == Ends(24, 30, 40)
    assert split_by_tables(one, Tables(3, 1, 0), 4, 0.1) == Ends(30, 40, 40)
    # A series that a table does not have.
    one = dataclasses.replace(one, sources=((0, 30), (30, 40), (40, 40)))
    assert split_by_tables(one, Tables(1, 1, 1), 4, 0.1) == Ends(30, 40, 40)


def test_tables_of_parts_must_not_overlap():
    one = dataclasses.replace(series("a", 40), sources=((0, 30), (29, 40)))
    with pytest.raises(ValueError, match=r"series 'a': the tables of its parts \(data, valid, test\) overlap in time"):
        split_all([one], 4, 0.1, 0.0, Tables(1, 0, 1))


def test_a_forecast_is_scored_in_the_part_that_holds_all_of_its_horizon():
    ends = [Ends(50, 60, 75), Ends(10, 14, 14)]
    assert scored_spans(ends, 4, "held_out") == [Span(0, 0, 49, 55), Span(1, 0, 9, 9)]
    assert scored_spans(ends, 4, "test") == [Span(0, 0, 59, 70)]


def test_other_data_is_scored_once_a_window_and_a_season_were_read():
    preprocessing = panel([1.0, 2.0]).preprocessing  # horizon 3, season 2, window 4
    assert all_spans([20, 6, 3], preprocessing) == [Span(0, 0, 3, 16), Span(1, 0, 2, 2)]
    assert all_spans([20], dataclasses.replace(preprocessing, season=6)) == [Span(0, 0, 6, 16)]


def test_series_that_are_too_short_are_excluded_until_none_is_left():
    assert list(split_all([series("a", 10), series("b", 100)], 4, 0.1, 0.2)) == [1]
    with pytest.raises(ValueError, match="series 'c' has 11 steps and none has more: too few to learn from"):
        split_all([series("a", 10), series("c", 11)], 4, 0.1, 0.2)


def test_windows_end_where_learning_does():
    spans = [Span(*span) for span in spans_to_learn([100, 7], 32, 4).tolist()]
    assert {span.series for span in spans} == {0, 1}
    assert len(spans) >= 24 * 4
    for span in spans:
        length = span.last + 1 - span.begin
        assert length == (32 if span.series == 0 else 6)
        assert span.first == span.begin + length // 4
        assert span.begin >= 0
        assert span.last <= (98 if span.series == 0 else 5)
    assert max(span.last for span in spans) == 98
    assert len(spans_to_learn([1], 32, 4)) == 0


def test_windows_of_much_data_overlap_less_down_to_what_is_read_before_a_forecast(monkeypatch):
    for most, distance in ((1000, 2), (20, 5), (2, 24)):
        monkeypatch.setattr(batches, "_MAX_WINDOWS", most)
        spans = [Span(*span) for span in spans_to_learn([100, 50, 7], 32, 1).unique(dim=0).tolist()]
        begins = [[span.begin for span in spans if span.series == series] for series in range(3)]
        assert set(np.diff(begins[0]).tolist()) == {distance}
        assert [one[-1] for one in begins] == [99 - 32, 49 - 32, 0]
    # A forecast from every step, once.
    steps = [step for span in spans if span.series == 0 for step in range(span.first, span.last + 1)]
    assert steps == list(range(steps[0], 99))
