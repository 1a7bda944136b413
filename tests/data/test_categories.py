"""Categorical columns as numbers."""

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gatewise.data.categories import UNKNOWN, Categories

COLUMNS = {"weather": ["rain", "sun", "rain", "Rain"], "day": ["1", "2", "", ""]}


def test_values_are_numbered_and_others_are_unknown():
    categories = Categories.learn(COLUMNS)
    assert (categories.names, len(categories)) == (("weather", "day"), 2)
    assert categories.summary == "categories: weather 3, day 3"
    # The most frequent value first; neither case nor digits are changed, and an empty value is one.
    found = categories.encode({"day": ["", "2", "3"], "weather": ["rain", "Rain", "RAIN"], "other": ["a", "b", "c"]})
    assert found.tolist() == [[1, 1], [2, 3], [UNKNOWN, UNKNOWN]]
    assert found.dtype == torch.int64
    with pytest.raises(ValueError, match="no column 'day', which the model reads; there are weather"):
        categories.encode({"weather": ["rain"]})


def test_unknown_values_are_counted_by_column():
    categories = Categories.learn(COLUMNS)
    assert categories.unknown_notice("test", [categories.encode(COLUMNS)]) is None
    found = categories.encode({"weather": ["fog", "hail", "sun"], "day": ["1", "1", "1"]})
    assert categories.unknown_notice("held_out", [found]) == (
        "held out: values that are not in the training data: 2 of 3 of 'weather'; read as unknown"
    )


@given(st.dictionaries(st.text(max_size=3), st.lists(st.text(max_size=3), min_size=1), min_size=1, max_size=3))
def test_they_are_the_same_from_json(columns):
    size = min(map(len, columns.values()))
    columns = {name: values[:size] for name, values in columns.items()}
    categories = Categories.learn(columns)
    again = Categories.from_content(json.loads(json.dumps(categories.content())))
    assert torch.equal(categories.encode(columns), again.encode(columns))
    assert int(categories.encode(columns).min()) > UNKNOWN
