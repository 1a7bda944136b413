"""Nested columns of numbers as arrays."""

import numpy as np
import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewise.data.nested_numbers import nested_numbers

NUMBERS = st.none() | st.integers(-9, 9) | st.floats(-9, 9)


@given(st.data(), st.integers(1, 3))
def test_they_are_the_same_as_of_python_values(data, width):
    rows = data.draw(st.lists(st.lists(st.lists(NUMBERS, min_size=width, max_size=width)), min_size=1, max_size=5))
    cells = pyarrow.array(rows, pyarrow.list_(pyarrow.list_(pyarrow.float64())))
    start = data.draw(st.integers(0, len(rows) - 1))
    for column, expected in ((cells, rows), (cells.slice(start), rows[start:])):
        found = nested_numbers(column)
        if not any(expected):
            assert found is None
            continue
        assert found is not None
        for array, row in zip(found, expected, strict=True):
            np.testing.assert_array_equal(array, np.array(row, np.float64).reshape(-1, width))


@pytest.mark.parametrize(
    "cells", [[[[1], [2, 3]]], [[[1]], None], [[[1], None]], [[["a"]]], [[[]]], [[[True]]], [[1]], [[[[1]]]], ["a"]]
)
def test_anything_else_is_left_to_others(cells):
    assert nested_numbers(pyarrow.array(cells)) is None


def test_steps_without_features_are_left_to_others():
    assert nested_numbers(pyarrow.array([[[]]], pyarrow.list_(pyarrow.list_(pyarrow.float64())))) is None
