import math

import pytest
from hypothesis import given
from hypothesis import strategies as some

from benchmarks.statistics import Quartiles, geometric_mean, quartiles

RATIOS = some.lists(some.floats(1e-3, 1e3), min_size=1, max_size=20)


@given(RATIOS)
def test_the_geometric_mean_of_inverses_is_the_inverse(ratios):
    assert geometric_mean([1 / ratio for ratio in ratios]) == pytest.approx(1 / geometric_mean(ratios))


@given(RATIOS)
def test_the_geometric_mean_lies_between(ratios):
    assert min(ratios) * (1 - 1e-9) <= geometric_mean(ratios) <= max(ratios) * (1 + 1e-9)
    assert geometric_mean(ratios) == pytest.approx(math.prod(ratio ** (1 / len(ratios)) for ratio in ratios))


@given(RATIOS)
def test_quartiles_are_ordered(ratios):
    found = quartiles(ratios)
    assert min(ratios) <= found.low <= found.median <= found.high <= max(ratios)


def test_one_value_has_no_quartiles():
    assert quartiles([2.0]) == Quartiles(2.0, 2.0, 2.0)
