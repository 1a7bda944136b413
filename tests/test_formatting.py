"""Numbers keep their significant digits whatever their size."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewise.formatting import format_number


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0088, "0.008800"),
        (0.00876, "0.008760"),
        (0.99996, "1.000"),
        (999.96, "1,000"),
        (119.7249, "119.7"),
        (1234567.8, "1,234,568"),
        (-0.5, "-0.5000"),
        (3, "3"),
        (1e-6, "1.000e-06"),
        (-math.inf, "-inf"),
        (math.nan, "nan"),
    ],
)
def test_counts_are_integers_and_the_rest_has_four_significant_digits(value, text):
    assert format_number(value) == text


@given(st.floats(min_value=-1e300, max_value=1e300), st.integers(min_value=2, max_value=9))
def test_what_is_read_back_differs_by_half_a_unit_of_the_last_digit_at_most(value, digits):
    read = float(format_number(value, digits).replace(",", ""))
    assert math.isclose(read, value, rel_tol=0.500001 * 10 ** (1 - digits), abs_tol=0.0)
