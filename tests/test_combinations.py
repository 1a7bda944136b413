"""Parametrisation by pairs of values."""

import itertools
import math

import pytest

from tests import combinations
from tests.combinations import combined, pairwise


@pytest.mark.parametrize("sizes", [(16, 7, 3, 3), (2, 16, 6, 2), (4, 3, 6, 2, 2, 2), (3,), (2, 2), (2, 0)], ids=str)
def test_every_pair_of_values_and_few_rows(sizes: tuple[int, ...]):
    axes = [[(axis, value) for value in range(size)] for axis, size in enumerate(sizes)]
    rows = pairwise(axes)
    found = {pair for row in rows for pair in itertools.combinations(row, 2)}
    wanted = {pair for two in itertools.combinations(axes, 2) for pair in itertools.product(*two)}
    assert found == wanted
    assert len(set(rows)) == len(rows)
    assert all(len(row) == len(axes) for row in rows)
    # No fewer can do where the largest axes come in every combination, and little is on top of that.
    assert len(rows) <= 1.2 * math.prod(sorted(sizes)[-2:])


def test_all_combinations_where_they_are_asked_for(monkeypatch: pytest.MonkeyPatch):
    axes = (("a", "b"), (1, 2), (False, True))
    assert len(combined(axes)) < 8 or combinations.ALL
    monkeypatch.setattr(combinations, "ALL", True)
    assert combined(axes) == list(itertools.product(*axes))


def test_names_and_values_of_arguments():
    mark = combinations.combinations({"a": ["x"], "b,c": [(1, 2)]})
    assert mark.args[0] == "a,b,c"
    (parameter,) = mark.args[1]
    assert parameter.values == ("x", 1, 2)
    assert parameter.id == "x-(1, 2)"


def test_a_third_of_the_examples_unless_all_are_asked_for(monkeypatch: pytest.MonkeyPatch):
    for every, expected in ((False, [1, 1, 2, 50]), (True, [1, 3, 4, 150])):
        monkeypatch.setattr(combinations, "ALL", every)
        assert [combinations.examples(count) for count in (1, 3, 4, 150)] == expected
