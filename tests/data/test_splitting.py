"""Examples that are held out."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewise.data.splitting import DefaultShare, split_at_random


@given(st.integers(4, 200), st.floats(0.2, 0.8), st.integers(0, 5))
def test_both_parts_are_the_whole(count, share, seed):
    parts = split_at_random(range(count), share, seed)
    assert sorted(parts[0] + parts[1]) == list(range(count))
    assert len(parts[1]) == round(count * share)
    assert parts == split_at_random(range(count), share, seed)


@pytest.mark.parametrize(("count", "message"), [(3, "0; nothing is left to score"), (0, "0; nothing is left to score")])
def test_too_few(count, message):
    with pytest.raises(ValueError, match=re.escape(f"held_out: 0.1 of {count} examples is {message}")):
        split_at_random(range(count), 0.1)
    with pytest.raises(ValueError, match="nothing is left to learn from"):
        split_at_random([1], 0.9)


@given(
    st.lists(st.sets(st.sampled_from("abcdef"), max_size=3), min_size=2, max_size=30),
    st.floats(0.05, 0.9),
    st.integers(0, 9),
)
def test_some_example_of_every_class_is_left_to_learn_from(examples, share, seed):
    once = [{one for one in example if sum(one in other for other in examples) == 1} for example in examples]
    if not 0 < round(len(examples) * share) < len(examples) or all(once):
        return
    training, held_out = split_at_random(examples, share, seed, classes_of=lambda example: example)
    assert set().union(*training) == set().union(*examples)
    assert 0 < len(held_out) <= round(len(examples) * share)
    plain, other = split_at_random(examples, share, seed)
    if set().union(*plain) == set().union(*examples):
        assert (training, held_out) == (plain, other)


def test_nothing_can_be_held_out_where_every_class_occurs_once():
    with pytest.raises(ValueError, match="held_out: every example has a class that occurs once"):
        split_at_random("abcd", 0.5, classes_of=set)


def test_by_default_no_more_than_a_number_is_held_out(capsys):
    share = DefaultShare(0.1, 100, "rows")
    assert [share.of(total) for total in (10, 1000)] == [0.1, 0.1]
    assert capsys.readouterr().err == ""
    assert share.of(1001) == 100 / 1001
    assert round(share.of(123_457) * 123_457) == 100
    assert capsys.readouterr().err.splitlines()[0] == (
        "held out: 100 of 1,001 rows, as 10 % would be more than scores need; --held-out names another share"
    )
