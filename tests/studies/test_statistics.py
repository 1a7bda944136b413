import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewise.studies.statistics import compare, interval_of_mean, share


@given(st.lists(st.integers(-5, 5).map(float), min_size=2, max_size=8))
def test_p_is_the_share_of_signs_with_a_mean_as_far_from_zero(differences):
    found = compare("a − b", "", differences, [0.0] * len(differences))
    signs = itertools.product((-1, 1), repeat=len(differences))
    means = [sum(sign * one for sign, one in zip(of, differences, strict=True)) for of in signs]
    as_far = sum(abs(mean) >= abs(sum(differences)) - 1e-9 for mean in means)
    assert found.p == pytest.approx(as_far / len(means))


def test_five_pairs_cannot_go_below_a_sixteenth():
    found = compare("a − b", "", [1.0, 2.0, 3.0, 4.0, 5.0], [0.0] * 5)
    assert found.p == found.smallest_p == 0.0625
    assert found.is_clear


def test_nothing_is_clear_with_fewer_than_five_pairs():
    assert not compare("a − b", "", [1.0, 2.0, 3.0, 4.0], [0.0] * 4).is_clear


def test_a_difference_is_not_clear_if_the_interval_holds_zero():
    assert not compare("a − b", "", [1.0, -1.0, 2.0, -2.0, 0.5], [0.0] * 5).is_clear


def test_equal_differences_have_no_effect_size_and_a_point_as_interval():
    found = compare("a − b", "", [2.0, 3.0], [1.0, 2.0])
    assert (found.low, found.high, found.effect) == (1.0, 1.0, None)


def test_one_pair():
    found = compare("a − b", "", [2.0], [1.0])
    assert (found.p, found.smallest_p, found.effect) == (1.0, 1.0, None)


def test_the_effect_is_in_standard_deviations():
    found = compare("a − b", "", [1.0, 3.0], [0.0, 0.0])
    assert found.effect == pytest.approx(2 / 2**0.5)


def test_the_interval_is_within_the_values_and_repeatable():
    values = [1.0, 4.0, 2.0, 8.0, 5.0]
    low, high = interval_of_mean(values)
    assert min(values) <= low < sum(values) / 5 < high <= max(values)
    assert interval_of_mean(values) == (low, high)


def test_unequal_sides_raise():
    with pytest.raises(ValueError, match="expected as many values on both sides, got 1 and 2"):
        compare("a − b", "", [1.0], [1.0, 2.0])


def test_wilson():
    assert share(0, 10) == "0/10 (0–28 %)"
    assert share(5, 10) == "5/10 (24–76 %)"
